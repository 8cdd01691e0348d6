"""`histogram`, `quantile`, `describe` and `report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..vectors import as_source, count_directed
from .answers import Answer, Output, about, grid, of_run, show, sides, table_of
from .shared import Division, Execution, Of, Quantity, Table, Tables, command, numbers

_BAR = 30
_BLOCKS = " ▏▎▍▌▋▊▉█"
# Empty bins that so few pairs are expected in are not shown to a person.
_LEAST = 0.05
_UNITS = {Quantity.angle: "degrees", Quantity.line_angle: "degrees"}

PANEL = "Angles of vectors"


def add(app: typer.Typer) -> None:
    """Register the commands."""
    command(
        app.command,
        "superpos-fast histogram decoder.npy --bins 90",
        "superpos-fast histogram decoder.npy --of abs_cosine --bins 0,0.5,0.9,1 --csv",
        "superpos-fast histogram decoder.npy --range 60,120 -o histogram.npz",
        rich_help_panel=PANEL,
    )(histogram)
    command(
        app.command,
        "superpos-fast quantile decoder.npy --q 0.001,0.5",
        "superpos-fast quantile decoder.npy --of abs_cosine --json",
        rich_help_panel=PANEL,
    )(quantile)
    command(
        app.command,
        "superpos-fast describe decoder.safetensors --tensor W_dec",
        "superpos-fast describe a.npy --other b.npy --json",
        rich_help_panel=PANEL,
    )(describe)
    command(
        app.command,
        "superpos-fast report decoder.safetensors --tensor W_dec -o report.html",
        "superpos-fast report decoder.npy --labels names.txt --title 'My dictionary'",
        rich_help_panel=PANEL,
    )(report)


def histogram(
    tables: Tables,
    bins: Annotated[
        str, typer.Option("--bins", help="How many, or their edges with commas between.")
    ] = "180",
    range_: Annotated[
        str | None,
        typer.Option("--range", metavar="LOW,HIGH", help="Of the bins, if not the whole range."),
    ] = None,
    of: Of = Quantity.angle,
    execution: Execution = Execution(),
    division: Division = Division(),
    output: Output = Output(),
) -> None:
    """Count the pairs by their angle or cosine, beside chance."""
    output.check()
    edges: Any = numbers(bins, "--bins") if "," in bins else numbers(bins, "--bins", True)[0]
    limits: Any = None if range_ is None else tuple(numbers(range_, "--range"))
    keywords = execution.keywords() | division.keywords()
    vectors, others = tables.open_both()
    from .. import histogram as measure
    from ..capacity import null

    found = measure(
        vectors, others, bins=edges, range=limits, of=of.value, zero=tables.zero.value, **keywords
    )
    if not division.was_all(found):
        return
    counts, edges = found
    chance = null(_kept(vectors), vectors.shape[1], None if others is None else _kept(others))
    expected, _, _ = chance.histogram(bins=edges, of=of.value)
    columns = {"low": edges[:-1], "high": edges[1:], "count": counts, "random": expected}
    facts = {"of": of.value, **sides(tables, vectors, others)}
    unit = _UNITS.get(of, "cosine")
    seen = np.flatnonzero(counts)
    rows: list[tuple[str, ...]] = []
    if len(seen):
        bars = _bars(counts)
        rows = [
            (f"{edges[b]:g}", f"{edges[b + 1]:g}", f"{counts[b]:,}", f"{expected[b]:,.1f}", bars[b])
            for b in range(seen[0], seen[-1] + 1)
            if counts[b] or expected[b] >= _LEAST
        ]
    heads = ("from", f"to ({unit})", "pairs", "random", "log scale")
    table = table_of(heads, rows, texts=heads[-1:])
    arrays = {"counts": counts, "edges": edges, "random": expected}
    output.write(Answer(facts, about(facts), arrays, columns, [table]))


def _kept(vectors: Any) -> int:
    """Return how many rows have a direction."""
    return count_directed(as_source(vectors, "vectors"))


def _bars(counts: Any) -> list[str]:
    """Return bars as long as the logarithm of counts."""
    heights = np.log1p(counts) / np.log1p(counts.max())
    eighths = np.ceil(heights * _BAR * 8).astype(int).tolist()
    return [_BLOCKS[8] * (part // 8) + _BLOCKS[part % 8].strip() for part in eighths]


def quantile(
    tables: Tables,
    q: Annotated[
        str, typer.Option("--q", help="Shares of the pairs, with commas between.")
    ] = "0.01,0.25,0.5,0.75,0.99",
    of: Of = Quantity.angle,
    execution: Execution = Execution(),
    output: Output = Output(),
) -> None:
    """Print the angles that shares of the pairs are below."""
    output.check()
    shares = numbers(q, "--q")
    vectors, others = tables.open_both()
    from .. import quantile as measure

    found: Any = measure(
        vectors, shares, others, of=of.value, zero=tables.zero.value, **execution.keywords()
    )
    columns = {"q": np.array(shares), "value": found}
    facts = {"of": of.value, **sides(tables, vectors, others)}
    rows = [(f"{share:g}", f"{value:.6f}") for share, value in zip(shares, found, strict=True)]
    table = table_of(("share", _UNITS.get(of, "cosine")), rows)
    output.write(Answer(facts, about(facts), columns, columns, [table]))


def describe(
    tables: Tables,
    execution: Execution = Execution(),
    division: Division = Division(),
    output: Output = Output(),
) -> None:
    """Print most of it at once, beside random directions."""
    output.check()
    vectors, others = tables.open_both()
    from .. import describe as measure

    keywords = execution.keywords() | division.keywords()
    found = measure(vectors, others, zero=tables.zero.value, **keywords)
    if not division.was_all(found):
        return
    known = json.loads(found.to_json())
    arrays = {name: value for name, value in found.to_dict().items() if name in _ARRAYS}
    facts = {name: value for name, value in known.items() if name not in _ARRAYS}
    facts["run"] = of_run(found.run, found.dimension)
    columns = {
        "vector": np.arange(len(found.nearest_indices)),
        "nearest": found.nearest_indices,
        "cosine": found.nearest_cosines,
    }
    size, *texts = str(found).splitlines()
    lines = {"vectors": size} | {
        name: line for name, line in about(sides(tables, vectors, others)).items() if "file" in name
    }
    output.write(Answer(facts, lines, arrays, columns, ["\n".join(texts)]))


_ARRAYS = ("nearest_cosines", "nearest_indices", "histogram", "edges")


def report(
    table: Table,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page.")
    ] = Path("report.html"),
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Names of the rows: one a line, or .json."),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", help="Of the page; the file's name if left out.")
    ] = None,
    top: Annotated[int, typer.Option("--top", help="How many of the closest pairs.")] = 50,
    execution: Execution = Execution(),
) -> None:
    """Write it all on one page of HTML, to read or to send."""
    from .writing import check_folder

    check_folder(output)
    vectors = table.open()
    if title is None and table.file is not None:
        title = table.file.name if table.tensor is None else f"{table.file.name}: {table.tensor}"
    from .. import report as make
    from ..page.markup import count_of

    made = make(
        vectors, output, labels=labels, title=title, top=top, zero=table.zero.value,
        **execution.keywords(),
    )  # fmt: skip
    found = made.findings
    i, j = found.statistics.pair
    lines = {
        "written to": str(output),
        "coherence": f"{found.statistics.coherence!r}, rows {i} and {j}",
        "duplicates": ", ".join(
            f"{count_of(len(one.members), 'group')} at {one.cosine:g}"
            for one in found.groups
            if one.members is not None
        ),
        "time": f"{found.seconds:.3g} s, threads: {found.statistics.run.threads}",
    }
    show(grid(lines))
