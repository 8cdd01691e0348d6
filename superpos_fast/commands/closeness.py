"""`coherence`, `nearest`, `pairs` and `compare`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from .answers import MOST_ROWS, Answer, Output, about, matrix, of_run, shown_of, sides, table_of
from .shared import (
    Angle,
    Cosine,
    Division,
    Execution,
    OtherTensorName,
    Signed,
    Tables,
    TensorName,
    Zero,
    Zeros,
    command,
    naming,
    opened,
)

PANEL = "Angles of vectors"


def add(app: typer.Typer) -> None:
    """Register the commands."""
    command(
        app.command,
        "superpos-fast coherence decoder.safetensors --tensor W_dec",
        "superpos-fast coherence a.npy --other b.npy --signed --json",
        "superpos-fast coherence a.npy --checkpoint run.ckpt --shard 0/50",
        rich_help_panel=PANEL,
    )(coherence)
    command(
        app.command,
        "superpos-fast nearest decoder.npy --k 10 -o nearest.npz",
        "superpos-fast nearest a.npy --other b.npy --csv",
        rich_help_panel=PANEL,
    )(nearest)
    command(
        app.command,
        "superpos-fast pairs decoder.npy --top 100",
        "superpos-fast pairs decoder.npy --angle 25 --csv",
        rich_help_panel=PANEL,
    )(pairs)
    command(
        app.command,
        "superpos-fast compare seed0.safetensors seed1.safetensors",
        "superpos-fast compare a.npy b.npy -o matches.npz",
        rich_help_panel=PANEL,
    )(compare)


def _degrees(cosines: Any) -> Any:
    return np.degrees(np.arccos(cosines))


def coherence(
    tables: Tables,
    signed: Signed = False,
    execution: Execution = Execution(),
    division: Division = Division(),
    output: Output = Output(),
) -> None:
    """Print the largest |cosine| of two rows, and which two they are."""
    output.check()
    keywords = execution.keywords() | division.keywords()
    vectors, others = tables.open_both()
    from .. import coherence as measure

    found = measure(
        vectors, others, signed=signed, return_pair=True, zero=tables.zero.value, **keywords
    )
    if not division.was_all(found):
        return
    facts = {"value": found.value, "angle": found.angle, "i": found.i, "j": found.j}
    facts |= {"signed": signed, **sides(tables, vectors, others)}
    facts |= of_run(found.run, vectors.shape[1])
    i, j = found.i, found.j
    lines = {
        "max cos" if signed else "max |cos|": repr(found.value),
        "angle": f"{found.angle:.6f} degrees",
        "pair": f"rows {i} and {j}" if others is None else f"row {i} of vectors, row {j} of other",
    }
    output.write(Answer(facts, lines | about(facts)))


def nearest(
    tables: Tables,
    k: Annotated[int, typer.Option("--k", help="How many neighbours of each.")] = 1,
    signed: Signed = False,
    execution: Execution = Execution(),
    division: Division = Division(),
    output: Output = Output(),
) -> None:
    """Find the k rows closest to each row."""
    output.check()
    keywords = execution.keywords() | division.keywords()
    vectors, others = tables.open_both()
    from .. import nearest as measure

    found = measure(vectors, others, k=k, signed=signed, zero=tables.zero.value, **keywords)
    if not division.was_all(found):
        return
    facts = sides(tables, vectors, others) | of_run(found.run, vectors.shape[1])
    count = len(found.indices)
    columns = {
        "vector": np.repeat(np.arange(count), k),
        "rank": np.tile(np.arange(1, k + 1), count),
        "neighbour": found.indices.ravel(),
        "cosine": found.cosines.ravel(),
    }
    best = found.cosines[:, 0] if signed else np.abs(found.cosines[:, 0])
    first = np.argsort(-best, kind="stable")[:MOST_ROWS]  # NaN last
    rows = [
        (f"{row}", f"{found.indices[row, 0]}", f"{cosine:+.6f}", f"{_degrees(size):.4f}")
        for row, cosine, size in zip(first, found.cosines[first, 0], best[first], strict=True)
        if not math.isnan(cosine)
    ]
    heads = ("vector", "nearest", "cosine", "degrees")
    output.write(
        Answer(
            facts,
            about(facts),
            {"indices": found.indices, "cosines": found.cosines},
            columns,
            [table_of(heads, rows, shown_of(count, "vectors, those with the nearest neighbours"))],
        )
    )


def pairs(
    tables: Tables,
    angle: Angle = None,
    cosine: Cosine = None,
    top: Annotated[
        int | None, typer.Option("--top", help="Or so many best pairs; 20 if nothing is given.")
    ] = None,
    signed: Signed = False,
    limit: Annotated[int | None, typer.Option("--limit", help="The most pairs to return.")] = None,
    execution: Execution = Execution(),
    division: Division = Division(),
    output: Output = Output(),
) -> None:
    """List the pairs at least so close, or the closest ones."""
    output.check()
    keywords = execution.keywords() | division.keywords()
    vectors, others = tables.open_both()
    if top is None and angle is None and cosine is None:
        top = MOST_ROWS
    from .. import pairs as measure

    found = measure(
        vectors, others, angle=angle, cosine=cosine, top=top, signed=signed, limit=limit,
        zero=tables.zero.value, **keywords,
    )  # fmt: skip
    if not division.was_all(found):
        return
    facts = {"count": len(found), **sides(tables, vectors, others)}
    facts |= of_run(found.run, vectors.shape[1])
    columns = {"i": found.i, "j": found.j, "cosine": found.cosine}
    lines = {"found": f"{len(found):,} pairs"} | about(facts)
    output.write(Answer(facts, lines, columns, columns, [_pairs_table(columns, signed)]))


def _pairs_table(columns: dict[str, Any], signed: bool = False) -> Any:
    i, j, cosine = (part[:MOST_ROWS] for part in columns.values())
    degrees = _degrees(cosine if signed else np.abs(cosine))
    rows = [
        (f"{a}", f"{b}", f"{c:+.6f}", f"{degree:.4f}")
        for a, b, c, degree in zip(i, j, cosine, degrees, strict=True)
    ]
    note = shown_of(len(columns["i"]), "pairs")
    return table_of(("i", "j", "cosine", "degrees"), rows, note)


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="One set of vectors.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another in as many dimensions.")],
    tensor: TensorName = None,
    other_tensor: OtherTensorName = None,
    zero: Zeros = Zero.refuse,
    execution: Execution = Execution(),
    output: Output = Output(),
) -> None:
    """Compare two sets: how well each is found in the other."""
    output.check()
    ours, theirs = (
        opened(a, tensor, "A", "--tensor"),
        opened(b, other_tensor, "B", "--other-tensor"),
    )
    from .. import nearest as measure
    from ..capacity import null
    from ..closest import mean_of_best, mutual_of

    # What `mmcs` and `mutual_nearest` return, from one pass.
    how = {"zero": zero.value, **execution.keywords()}
    with naming(vectors="A", other="B"):
        there, back = measure(ours, theirs, return_both=True, **how)
    i, j = mutual_of(there.indices, back.indices).T
    columns = {"i": i, "j": j, "cosine": there.cosines[i, 0]}
    order = np.argsort(-np.abs(columns["cosine"]), kind="stable")
    columns = {name: part[order] for name, part in columns.items()}
    n, m = (int((side.indices[:, 0] >= 0).sum()) for side in (there, back))
    d = ours.shape[1]
    directions = {"a_to_b": (there, null(n, d, m)), "b_to_a": (back, null(m, d, n))}
    facts = {
        "mmcs": {name: mean_of_best(side.cosines) for name, (side, _) in directions.items()},
        "random_mmcs": {name: law.row_maximum.mean for name, (_, law) in directions.items()},
        "mutual": len(i),
        "vectors": matrix(a, ours),
        "other": matrix(b, theirs),
        **of_run(there.run, d),
    }
    sizes = {name: np.abs(side.cosines[:, 0]) for name, (side, _) in directions.items()}
    rows = [
        (
            name.replace("_", " "),
            f"{facts['mmcs'][name]:.6f}",
            f"{facts['random_mmcs'][name]:.6f}",
            *(f"{np.nanquantile(sizes[name], q):.4f}" for q in (0.1, 0.5, 0.9)),
            *(f"{np.nanmean(sizes[name] >= least):.1%}" for least in (0.7, 0.9)),
        )
        for name in directions
    ]
    heads = ("", "mean max |cos|", "random", "10 %", "median", "90 %", ">= 0.7", ">= 0.9")
    lines = {"mutual": f"{len(i):,} pairs are each other's nearest"} | about(facts)
    arrays = columns | {
        "a_nearest": there.indices[:, 0], "a_cosines": there.cosines[:, 0],
        "b_nearest": back.indices[:, 0], "b_cosines": back.cosines[:, 0],
    }  # fmt: skip
    tables = [table_of(heads, rows, texts=heads[:1]), _pairs_table(columns)]
    output.write(Answer(facts, lines, arrays, columns, tables))
