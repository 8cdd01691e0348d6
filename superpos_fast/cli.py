"""The command line: `superpos-fast coherence [FILE]` and `superpos-fast capacity`.

Numba is imported when the work starts.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import fields, is_dataclass
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import __version__
from .capacity.command import capacity
from .data import EXAMPLE_FILE, example
from .sources import open_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .results import Coherence

PROGRAM = "superpos-fast"
MISTAKE, INTERRUPTED = 2, 130  # exit statuses

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


app.add_typer(capacity, name="capacity")


class Zero(StrEnum):
    """What to do with rows of zeros, which have no direction."""

    skip = "skip"
    refuse = "raise"


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version, and stop."
        ),
    ] = False,
) -> None:
    """Exact pairwise angles of the rows of a matrix."""


@app.command()
def coherence(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="A .npy, .npz or .safetensors file; the embedded example if left out.",
        ),
    ] = None,
    tensor: Annotated[
        str | None, typer.Option(help="Which 2-d tensor of FILE, where it holds several.")
    ] = None,
    other: Annotated[
        Path | None, typer.Option(help="Compare with the rows of this file instead.")
    ] = None,
    other_tensor: Annotated[str | None, typer.Option(help="Which 2-d tensor of --other.")] = None,
    signed: Annotated[
        bool, typer.Option("--signed", help="The largest cosine, not the largest |cosine|.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(help="How many threads (default: all that the process may use).")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(help="Cap on memory beyond the input, such as 512MiB."),
    ] = None,
    zero: Annotated[Zero, typer.Option(help="What to do with rows of zeros.")] = Zero.refuse,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Keep the run in this file, and go on from what is there already."),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="k/K", help="Of K shares of the pairs only the k-th, from 0 on."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the largest |cosine| of two rows of FILE, and which two they are."""
    share = _share(shard, checkpoint)
    vectors = _open(file, tensor, "FILE", "--tensor")
    others = None
    if other is not None or other_tensor is not None:
        others = _open(other, other_tensor, "--other", "--other-tensor")

    from . import Part
    from . import coherence as measure

    found = measure(
        vectors,
        others,
        signed=signed,
        return_pair=True,
        zero=zero.value,
        threads=threads,
        memory=memory,
        checkpoint=checkpoint,
        shard=share,
        progress=not as_json and sys.stderr.isatty(),
    )
    if isinstance(found, Part):
        print(f"{found.pairs:,} of {found.total:,} pairs in {checkpoint}", flush=True)
        return
    facts = _facts(file, vectors, other, others, signed, found)
    if as_json:
        print(json.dumps(facts), flush=True)
    else:
        _show(facts)


def _share(text: str | None, checkpoint: Path | None) -> tuple[int, int] | None:
    """Return the (k, K) of "k/K"; what a shard finds goes to the checkpoint."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,18})/(\d{1,18})", text)
    if match is None:
        raise ValueError(f"--shard: must be like 0/50, got {text!r}")
    if checkpoint is None:
        raise ValueError(f"--shard: must come with --checkpoint, got only {text!r}")
    return int(match[1]), int(match[2])


@app.command()
def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Parts of one question.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the answer that parts make up: checkpoints of shards, or saved ones."""
    from . import merge as join

    found = join(files)
    print(json.dumps(found, default=_as_json) if as_json else found, flush=True)


def _as_json(value: Any) -> Any:
    """Return arrays as lists, and records as objects, without the facts about their run."""
    if is_dataclass(value):
        return {part.name: getattr(value, part.name) for part in fields(value) if part.compare}
    return value.tolist()


def _open(file: Path | None, tensor: str | None, path_name: str, name: str) -> NDArray[Any]:
    """Open a file, or the example; complaints name the options that the arguments came from."""
    if file is None:
        if tensor is not None:
            raise ValueError(f"{name}: must come with {path_name}, got only {tensor!r}")
        return example()
    try:
        return open_table(file, tensor)
    except (ValueError, OSError) as error:
        argument, _, rest = str(error).partition(": ")
        option = {"path": path_name, "tensor": name}.get(argument)
        raise (ValueError(f"{option}: {rest}") if option else error) from None


def _facts(
    file: Path | None,
    vectors: NDArray[Any],
    other: Path | None,
    others: NDArray[Any] | None,
    signed: bool,
    found: Coherence,
) -> dict[str, Any]:
    """All there is to say about a run, as JSON has it."""

    def matrix(path: Path | None, array: NDArray[Any]) -> dict[str, Any]:
        file = None if path is None else str(path)
        return {"file": file, "shape": list(array.shape), "dtype": array.dtype.name}

    run = found.run
    flops = 2 * run.pairs * vectors.shape[1]
    seconds = run.seconds - run.startup
    return {
        "value": found.value,
        "angle": found.angle,
        "i": found.i,
        "j": found.j,
        "signed": signed,
        "vectors": matrix(file, vectors),
        "other": None if others is None else matrix(other, others),
        "pairs": run.pairs,
        "decided": run.survivors + run.open_pairs,
        "threads": run.threads,
        "seconds": seconds,
        "startup_seconds": run.startup,
        "gflops": flops / seconds / 1e9 if seconds else None,
    }


def _show(facts: dict[str, Any]) -> None:
    """Print the facts for a person: a label and a value a line."""
    i, j, other = facts["i"], facts["j"], facts["other"]
    lines = {
        "max cos" if facts["signed"] else "max |cos|": repr(facts["value"]),
        "angle": f"{facts['angle']:.6f} degrees",
        "pair": f"row {i} of vectors, row {j} of other" if other else f"rows {i} and {j}",
    }
    for name, label in ("vectors", "file"), ("other", "other file"):
        if matrix := facts[name]:
            lines[name] = f"{' x '.join(map(str, matrix['shape']))} {matrix['dtype']}"
            lines[label] = matrix["file"] or f"the embedded example {EXAMPLE_FILE}"
    lines["pairs"] = f"{facts['pairs']:,}, of which {facts['decided']:,} decided in float64"
    lines["time"] = f"{facts['seconds']:.3g} s, threads: {facts['threads']}"
    lines["startup"] = f"{facts['startup_seconds']:.3g} s to load or compile the kernels"
    if facts["gflops"] is not None:
        lines["speed"] = f"{facts['gflops']:.3g} useful GFLOP/s"
    _print_table(lines)


def _print_table(lines: dict[str, str]) -> None:
    if not sys.stdout.isatty():  # no edge to wrap at: lines stay whole for whoever greps them
        width = max(map(len, lines)) + 2
        print(*(f"{label:{width}}{value}" for label, value in lines.items()), sep="\n", flush=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for place, (label, value) in enumerate(lines.items()):
        table.add_row(label, Text(value, style="" if place else "bold"))
    Console(highlight=False).print(table)
    sys.stdout.flush()


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
    except (ValueError, TypeError, OSError, MemoryError, ImportError) as error:
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
