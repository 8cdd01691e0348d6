"""Options that many commands share, each defined once, and how a command takes a group of them."""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ..data import example
from ..sources import open_table

# What a user may have got wrong: told in one line.
MISTAKES = (ValueError, TypeError, OSError, MemoryError, ImportError)
_RUNNING, _KEEPING = "How to compute", "Long runs"


class Zero(StrEnum):
    """What to do with rows of zeros, which have no direction."""

    skip = "skip"
    refuse = "raise"


class Quantity(StrEnum):
    """What a distribution is of."""

    angle = "angle"
    line_angle = "line_angle"
    cosine = "cosine"
    abs_cosine = "abs_cosine"


class Screen(StrEnum):
    """What rules pairs out before float32."""

    auto = "auto"
    deterministic = "deterministic"
    off = "off"


File = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help="A .npy, .npz or .safetensors file; the embedded example if left out.",
        show_default=False,
    ),
]
TensorName = Annotated[
    str | None, typer.Option("--tensor", help="Which 2-d tensor of FILE, where it holds several.")
]
OtherTensorName = Annotated[
    str | None, typer.Option("--other-tensor", help="Which 2-d tensor of the other file.")
]
Zeros = Annotated[Zero, typer.Option("--zero", help="Refuse rows of zeros, or skip them.")]
Signed = Annotated[
    bool, typer.Option("--signed", help="By the cosine with its sign, not by its magnitude.")
]
Of = Annotated[Quantity, typer.Option("--of", help="Of what.")]
Angle = Annotated[float | None, typer.Option("--angle", help="An angle between lines, in degrees.")]
Cosine = Annotated[float | None, typer.Option("--cosine", help="Or the |cosine|.")]
Dimensions = Annotated[int, typer.Option("--d", "--dim", help="Dimensions.")]
Seed = Annotated[int, typer.Option("--seed", help="Of everything random.")]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        help="Keep the run in this file, and go on from what is there already.",
        rich_help_panel=_KEEPING,
    ),
]
_Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", help="How many; all that the process may use if left out.",
        rich_help_panel=_RUNNING, show_default=False,
    ),
]  # fmt: skip
_Memory = Annotated[
    str | None,
    typer.Option(
        "--memory", help="Cap on memory beyond the input, such as 512MiB.", rich_help_panel=_RUNNING
    ),
]
_Backend = Annotated[
    str, typer.Option("--backend", help="auto, cpu, cuda or reference.", rich_help_panel=_RUNNING)
]
_Progress = Annotated[
    bool | None,
    typer.Option(
        "--progress/--no-progress", help="Show a bar; on a terminal it is shown if left out.",
        rich_help_panel=_RUNNING, show_default=False,
    ),
]  # fmt: skip
_Screen = Annotated[
    Screen,
    typer.Option("--screen", help="What rules pairs out first.", rich_help_panel=_RUNNING),
]
_ScreenSeed = Annotated[
    int,
    typer.Option("--screen-seed", help="Of its random rounding.", rich_help_panel=_RUNNING),
]
_Devices = Annotated[
    str | None,
    typer.Option(
        "--devices", metavar="0,1", help="CUDA devices that share the pairs, by number.",
        rich_help_panel=_RUNNING, show_default=False,
    ),
]  # fmt: skip
_Shard = Annotated[
    str | None,
    typer.Option(
        "--shard", metavar="k/K", help="Of K shares of the pairs only the k-th, from 0 on.",
        rich_help_panel=_KEEPING,
    ),
]  # fmt: skip
_Debug = Annotated[
    bool, typer.Option("--debug", help="Show where an error came from.", rich_help_panel=_RUNNING)
]


@dataclass(frozen=True)
class Table:
    """Vectors in a file, or the embedded example."""

    file: File = None
    tensor: TensorName = None
    zero: Zeros = Zero.refuse

    def open(self) -> Any:
        """Return the vectors."""
        return opened(self.file, self.tensor, "FILE", "--tensor")


@dataclass(frozen=True)
class Tables(Table):
    """One set of vectors, or two of them."""

    other: Annotated[
        Path | None, typer.Option("--other", help="Compare with the rows of this file instead.")
    ] = None
    other_tensor: OtherTensorName = None

    def open_both(self) -> tuple[Any, Any]:
        """Return the vectors, and the others or None."""
        vectors = self.open()
        if self.other is None and self.other_tensor is None:
            return vectors, None
        return vectors, opened(self.other, self.other_tensor, "--other", "--other-tensor")


@dataclass(frozen=True)
class Effort:
    """How an experiment is computed."""

    threads: _Threads = None
    memory: _Memory = None
    backend: _Backend = "auto"
    progress: _Progress = None

    def keywords(self) -> dict[str, Any]:
        """Return them as a function takes them."""
        shown = sys.stderr.isatty() if self.progress is None else self.progress
        named = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: _plain(value) for name, value in named.items()} | {"progress": shown}


@dataclass(frozen=True)
class Execution(Effort):
    """How pairs are looked at."""

    screen: _Screen = Screen.auto
    screen_seed: _ScreenSeed = 0
    devices: _Devices = None

    def keywords(self) -> dict[str, Any]:
        """Return them as a function takes them."""
        devices = None if self.devices is None else numbers(self.devices, "--devices", True)
        return super().keywords() | {"devices": devices}


@dataclass(frozen=True)
class Division:
    """A run that is kept, or one of its shares."""

    checkpoint: Checkpoint = None
    shard: _Shard = None

    def keywords(self) -> dict[str, Any]:
        """Return them as a function takes them; what a shard finds goes to the checkpoint."""
        return {"checkpoint": self.checkpoint, "shard": self._share()}

    def _share(self) -> tuple[int, int] | None:
        if self.shard is None:
            return None
        match = re.fullmatch(r"(\d{1,18})/(\d{1,18})", self.shard)
        if match is None:
            raise ValueError(f"--shard: must be like 0/50, got {self.shard!r}")
        if self.checkpoint is None:
            raise ValueError(f"--shard: must come with --checkpoint, got only {self.shard!r}")
        return int(match[1]), int(match[2])

    def was_all(self, found: Any) -> bool:
        """Return whether `found` is the answer; if it is a share, tell that it is done."""
        from ..parts import Part

        if isinstance(found, Part):
            print(f"{found.pairs:,} of {found.total:,} pairs in {self.checkpoint}", flush=True)
            return False
        return True


def opened(file: Path | None, tensor: str | None, path_name: str, name: str) -> Any:
    """Open a file, or the example; complaints name the options that the arguments came from."""
    if file is None:
        if tensor is not None:
            raise ValueError(f"{name}: must come with {path_name}, got only {tensor!r}")
        return example()
    with naming(path=path_name, tensor=name):
        return open_table(file, tensor)


@contextmanager
def naming(**options: str) -> Iterator[None]:
    """Have complaints about an argument name the option that it came from."""
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        argument, _, rest = str(error).partition(": ")
        if argument not in options:
            raise
        raise ValueError(f"{options[argument]}: {rest}") from None


def numbers(text: str, name: str, whole: bool = False) -> list[Any]:
    """Return the numbers of a list with commas."""
    try:
        return [int(part) if whole else float(part) for part in text.split(",")]
    except ValueError:
        kind = "whole numbers like 64,128" if whole else "numbers like 0.5,0.9"
        raise ValueError(f"{name}: must be {kind}, got {text!r}") from None


def command(
    register: Callable[..., Any], *examples: str, **options: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as the command of its name, with examples for its help.

    A parameter whose type is one of the groups above becomes the options of that group.  With
    ``--debug`` a mistake is told with where it came from.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        parameters = inspect.signature(function, eval_str=True).parameters
        groups: dict[str, Any] = {
            key: one.annotation for key, one in parameters.items() if is_dataclass(one.annotation)
        }
        taken: list[inspect.Parameter] = []
        for key, parameter in parameters.items():
            taken += _options(groups[key]) if key in groups else [_keyword(parameter)]
        taken.append(_parameter("debug", _Debug, False))

        def run(**given: Any) -> None:
            debug = given.pop("debug")
            made = {
                key: group(**{one.name: given.pop(one.name) for one in fields(group)})
                for key, group in groups.items()
            }
            try:
                function(**given, **made)
            except MISTAKES:
                if debug:
                    traceback.print_exc()
                raise

        run.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]
        run.__doc__, run.__name__ = function.__doc__, function.__name__
        register(epilog=examples_of(*examples), **options)(run)
        return function

    return decorate


def examples_of(*lines: str) -> str:
    """Return examples as a help's last words."""
    return "\n".join(["Examples:", *(f"  {line}" for line in lines)])


def _options(group: Any) -> list[inspect.Parameter]:
    hints: Mapping[str, Any] = get_type_hints(group, include_extras=True)
    return [
        _parameter(
            one.name,
            hints[one.name],
            inspect.Parameter.empty if one.default is MISSING else one.default,
        )
        for one in fields(group)
    ]


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, annotation=annotation, default=default)


def _keyword(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, StrEnum) else value
