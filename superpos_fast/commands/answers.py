"""An answer, for people as lines and tables, for machines as JSON, CSV or a file."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..data import EXAMPLE_FILE
from .writing import check, plain, save, write_csv

if TYPE_CHECKING:
    from ..results import Run
    from .shared import Tables

_PANEL = "What to write"
MOST_ROWS = 20  # that a person is shown


@dataclass(frozen=True)
class Answer:
    """What a command found.

    `facts` are numbers and words for JSON; `arrays` what goes to JSON and .npz beside them;
    `columns`, of one length, are the table for .csv and .parquet (one row of facts if left out).
    `lines` and `tables` are for people.
    """

    facts: Mapping[str, Any]
    lines: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Any] | None = None
    tables: Sequence[RenderableType] = ()

    @property
    def table(self) -> Mapping[str, Any]:
        """The columns, or the facts as one row."""
        if self.columns is not None:
            return self.columns
        simple = int | float | str | bool
        return {name: [value] for name, value in self.facts.items() if isinstance(value, simple)}


@dataclass(frozen=True)
class Output:
    """Where an answer goes."""

    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel=_PANEL)
    ] = False
    csv: Annotated[
        bool, typer.Option("--csv", help="Print comma-separated values.", rich_help_panel=_PANEL)
    ] = False
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", rich_help_panel=_PANEL,
            help="Write all of it to FILE: .npz, .parquet, .csv or .json.",
        ),
    ] = None  # fmt: skip

    def check(self) -> None:
        """Refuse what cannot be written, before the work."""
        if self.json and self.csv:
            raise ValueError("--json, --csv: must be given one or the other, got both")
        if self.output is not None:
            check(self.output)

    def write(self, answer: Answer) -> None:
        """Write an answer: to a file, and for a machine or a person."""
        if self.output is not None:
            save(self.output, answer.facts, answer.arrays, answer.table)
        if self.json:
            print(json.dumps(plain({**answer.facts, **answer.arrays})), flush=True)
        elif self.csv:
            write_csv(answer.table, sys.stdout)
            sys.stdout.flush()
        else:
            if answer.lines:
                show(grid(answer.lines))
            for table in answer.tables:
                show(table)
            if self.output is not None:
                print(f"written to {self.output}", flush=True)


def show(content: RenderableType) -> None:
    """Print for a person: as wide as the terminal, elsewhere lines that stay whole."""
    if isinstance(content, str):
        content = Text(content)  # brackets are brackets
    if sys.stdout.isatty():
        Console(highlight=False).print(content)
    else:
        stream = io.StringIO()
        console = Console(file=stream, width=10_000, highlight=False, color_system=None)
        console.print(content)
        print(*(line.rstrip() for line in stream.getvalue().splitlines()), sep="\n")
    sys.stdout.flush()


def grid(lines: Mapping[str, str]) -> Table:
    """Return a label and a value a line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for place, (label, value) in enumerate(lines.items()):
        table.add_row(label, Text(value, style="" if place else "bold"))
    return table


def table_of(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    note: str = "",
    texts: Sequence[str] = (),
) -> RenderableType:
    """Return a table of numbers, to the right but for the columns of `texts`, with a note below."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        side: Literal["left", "right"] = "left" if head in texts else "right"
        table.add_column(head, justify=side, header_style="dim", no_wrap=head not in texts)
    for row in rows:
        table.add_row(*map(Text, row))
    return Group(table, Text(note, style="dim")) if note else table


def shown_of(count: int, what: str) -> str:
    """Return the note below a table that does not show everything."""
    if count <= MOST_ROWS:
        return ""
    return f"{MOST_ROWS} of {count:,} {what}; all with --csv, --json or -o FILE"


def matrix(path: Path | None, array: Any) -> dict[str, Any]:
    """Return what JSON says of a matrix."""
    file = None if path is None else str(path)
    return {"file": file, "shape": list(array.shape), "dtype": array.dtype.name}


def sides(tables: Tables, vectors: Any, others: Any) -> dict[str, Any]:
    """Return what JSON says of one set of vectors or of two."""
    return {
        "vectors": matrix(tables.file, vectors),
        "other": None if others is None else matrix(tables.other, others),
    }


def of_run(run: Run, depth: int) -> dict[str, Any]:
    """Return what JSON says of a run."""
    seconds = run.seconds - run.startup
    flops = 2 * run.pairs * depth
    return {
        "pairs": run.pairs,
        "decided": run.survivors + run.open_pairs,
        "threads": run.threads,
        "seconds": seconds,
        "startup_seconds": run.startup,
        "gflops": flops / seconds / 1e9 if seconds else None,
    }


def about(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return what a person is told of the matrices and of the run."""
    lines = {}
    for name, label in ("vectors", "file"), ("other", "other file"):
        if one := facts.get(name):
            lines[name] = f"{' x '.join(map(str, one['shape']))} {one['dtype']}"
            lines[label] = one["file"] or f"the embedded example {EXAMPLE_FILE}"
    if "pairs" in facts:
        lines["pairs"] = f"{facts['pairs']:,}, of which {facts['decided']:,} decided in float64"
        lines["time"] = f"{facts['seconds']:.3g} s, threads: {facts['threads']}"
        lines["startup"] = f"{facts['startup_seconds']:.3g} s to load or compile the kernels"
        if facts["gflops"] is not None:
            lines["speed"] = f"{facts['gflops']:.3g} useful GFLOP/s"
    return lines
