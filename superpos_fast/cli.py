"""The command line, `superpos-fast`: what it can do stands in `superpos_fast.commands`.

Numba is imported when the work starts.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from . import __version__
from .commands import closeness, fitting, machine, spread
from .commands.shared import MISTAKES, examples_of

PROGRAM = "superpos-fast"
MISTAKE, INTERRUPTED = 2, 130  # exit statuses

app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for room in (closeness, spread, fitting, machine):
    room.add(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback(
    epilog=examples_of(
        f"{PROGRAM} demo",
        f"{PROGRAM} coherence decoder.safetensors --tensor W_dec",
        f"{PROGRAM} report decoder.npy -o report.html",
        f"{PROGRAM} capacity --d 12288 --angle 85",
    )
)
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version, and stop."
        ),
    ] = False,
) -> None:
    """Exact pairwise angles of the rows of a matrix."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        What stands after the program's name; `sys.argv[1:]` if left out.

    Returns
    -------
    int
        The exit status: 0, 2 after a mistake in the arguments or files, 130 after Ctrl-C.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        # A file's name may be beyond the terminal's encoding.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status: int = app(arguments, prog_name=PROGRAM, standalone_mode=False) or 0
        return status
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except MISTAKES as error:
        return _complain(str(error) or type(error).__name__)
    except Exception as error:
        # A usage error: its class is click's, which newer releases of typer carry inside.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        return _complain(f"{message()} (see {PROGRAM} --help)")


def _complain(message: str) -> int:
    print(f"{PROGRAM}: {' '.join(message.split())}", file=sys.stderr)
    return MISTAKE
