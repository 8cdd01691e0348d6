"""`capacity`, `capacity sweep`, `pack` and `greedy`: how many directions fit."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .answers import Answer, Output, table_of
from .shared import (
    Angle,
    Checkpoint,
    Cosine,
    Dimensions,
    Effort,
    Seed,
    TensorName,
    command,
    numbers,
    opened,
)
from .writing import check_picture

if TYPE_CHECKING:
    from ..capacity import Bounds

_MOST_NUMBERS = 10_000
Lines = Annotated[int, typer.Option("--n", "--lines", help="How many lines.")]

PANEL = "How many fit"


def add(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(rich_markup_mode="rich")
    command(
        group.callback,
        "superpos-fast capacity --d 12288 --angle 85",
        "superpos-fast capacity --d 100 --n 10000 --json",
        "superpos-fast capacity sweep --dims 8:4096:28 --angles 80,85,89 --plot capacity.png",
        invoke_without_command=True,
    )(capacity)
    command(
        group.command,
        "superpos-fast capacity sweep --dims 64,256 --angles 80,85 -o table.csv",
        "superpos-fast capacity sweep --dims 16 --ratios 2:20:5 --methods sample --plot p.png",
    )(sweep)
    app.add_typer(group, name="capacity", rich_help_panel=PANEL)
    command(
        app.command,
        "superpos-fast pack --n 16 --d 5 -o packing.npz",
        "superpos-fast pack --n 4096 --d 384 --start decoder.npy --seconds 600",
        rich_help_panel=PANEL,
    )(pack)
    command(
        app.command,
        "superpos-fast greedy --d 64 --angle 80 --attempts 1000000 -o kept.npz",
        rich_help_panel=PANEL,
    )(greedy)


def capacity(
    context: typer.Context,
    d: Annotated[int | None, typer.Option("--d", "--dim", help="Dimensions.")] = None,
    angle: Angle = None,
    cosine: Cosine = None,
    n: Annotated[
        int | None,
        typer.Option("--n", "--lines", help="Or how many lines: how nearly perpendicular?"),
    ] = None,
    complex_: Annotated[
        bool, typer.Option("--complex", help="Lines of complex space, not of real space.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Print every bound, not the best.")] = False,
    output: Output = Output(),
) -> None:
    """Print how many directions fit, rigorously."""
    if context.invoked_subcommand is not None:
        return
    output.check()
    if d is None:
        raise ValueError("--d: must be given, got none")
    if n is not None:
        tolerances = {"--angle": angle, "--cosine": cosine}
        too = [name for name, value in tolerances.items() if value is not None]
        if too:
            raise ValueError(f"--n: must come without {' and '.join(too)}, got --n {n} as well")
        facts, text = _of_lines(d, n, complex_, every)
    else:
        from ..capacity import bounds

        found = bounds(d, angle=angle, cosine=cosine, complex=complex_)
        facts, text = asdict(found) | {"exact": found.exact}, _of_tolerance(found, every)
    output.write(Answer(facts, tables=[text]))


def _power(log10: float, count: int | None = None) -> str:
    if count is not None:
        return f"{count:,}"
    return f"{10.0**log10:,.4g}" if log10 < 6.0 else f"10^{log10:.3f}"


def _of_tolerance(found: Bounds, every: bool) -> str:
    lines = {
        "at most": f"{_power(found.log10_upper, found.upper)}  ({found.upper_name})",
        "at least": f"{_power(found.log10_lower, found.lower)}  ({found.lower_name})",
    }
    if "random set" in found.lowers:
        size = _power(found.lowers["random set"])
        lines["random"] = f"{size}  (with so many, one pair is expected to be too close)"
    table = [*_labelled(lines), "", str(found)]
    if every:
        table += ["", "log10 of at most", *_logs(found.uppers)]
        table += ["", "log10 of at least", *_logs(found.lowers)]
    return "\n".join(table)


def _labelled(lines: dict[str, str]) -> list[str]:
    width = max(map(len, lines)) + 2
    return [f"{label:{width}}{value}" for label, value in lines.items()]


def _logs(values: dict[str, float]) -> list[str]:
    return _labelled(
        {
            f"  {name}": f"{value:.4f}" if math.isfinite(value) else "nothing"
            for name, value in values.items()
        }
    )


def _of_lines(dim: int, lines: int, complex_: bool, every: bool) -> tuple[dict[str, Any], str]:
    from ..capacity import coherence_floor, null

    floor = coherence_floor(lines, dim, complex=complex_)
    facts: dict[str, Any] = asdict(floor) | {"angle": floor.angle, "n": lines, "d": dim}
    text = [f"Of any {lines:,} lines in {dim:,} dimensions, {floor}."]
    if not complex_:
        law = null(lines, dim).coherence
        facts["random"] = {"mean": law.mean, "std": law.std}
        text.append(f"Random lines have a coherence of {law.mean:.6f} +- {law.std:.6f}.")
    if every:
        text += [f"  {name:16}{value:.6f}" for name, value in floor.floors.items()]
    return facts, "\n".join(text)


def _numbers(text: str, name: str, whole: bool) -> list[Any]:
    """Return numbers from a list such as 64,128 or a range such as 64:4096:20 (geometric)."""
    if ":" not in text:
        return numbers(text, name, whole)
    try:
        low, high, count = text.split(":")
        first, last, steps = float(low), float(high), int(count)
        if not 2 <= steps <= _MOST_NUMBERS or not 0.0 < first < last < math.inf:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{name}: must be low:high:count like 64:4096:20, 0 < low < high and 2 to "
            f"{_MOST_NUMBERS} of them, got {text!r}"
        ) from None
    step = (last / first) ** (1.0 / (steps - 1))
    values = [first * step**k for k in range(steps)]
    return sorted({round(value) for value in values}) if whole else values


def sweep(
    dims: Annotated[str, typer.Option(help="Dimensions: 64,256 or low:high:count.")],
    angles: Annotated[
        str | None, typer.Option(help="Tolerances in degrees: 80,85 or low:high:count.")
    ] = None,
    ratios: Annotated[
        str | None, typer.Option(help="Lines per dimension: 2,8 or low:high:count.")
    ] = None,
    methods: Annotated[
        str, typer.Option(help="Of bounds, random, greedy, sample, pack; with commas.")
    ] = "bounds",
    attempts: Annotated[int, typer.Option(help="Random directions that greedy tries.")] = 100_000,
    trials: Annotated[
        int, typer.Option(help="Repetitions of random and sample; restarts of pack.")
    ] = 10,
    seed: Seed = 0,
    checkpoint: Checkpoint = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the table there (.png, .svg, .pdf).")
    ] = None,
    effort: Effort = Effort(),
    output: Output = Output(),
) -> None:
    """Tabulate and draw bounds and experiments for many dimensions and tolerances."""
    output.check()
    if plot is not None:
        check_picture(plot, "--plot")
    from ..capacity import sweep as measure

    found = measure(
        _numbers(dims, "--dims", True),
        [] if angles is None else _numbers(angles, "--angles", False),
        [method.strip() for method in methods.split(",")],
        ratios=[] if ratios is None else _numbers(ratios, "--ratios", False),
        attempts=attempts,
        trials=trials,
        seed=seed,
        checkpoint=checkpoint,
        **effort.keywords(),
    )
    if plot is not None:
        found.plot(plot)
    records = found.records()
    columns = {name: [record[name] for record in records] for name in records[0]}
    rows = [
        (f"{row.d:,}", row.role, row.name, _power(row.log10_n, row.n), f"{row.cosine:.6f}",
         f"{row.angle:.3f}")
        for row in found.rows
    ]  # fmt: skip
    heads = ("d", "what", "name", "lines", "cosine", "degrees")
    note = f"drawn to {plot}" if plot is not None else ""
    table = table_of(heads, rows, note, texts=("what", "name"))
    output.write(Answer({"rows": records}, columns=columns, tables=[table]))


def pack(
    n: Lines,
    d: Dimensions,
    start: Annotated[
        Path | None, typer.Option("--start", help="Begin from the rows of this file.")
    ] = None,
    tensor: TensorName = None,
    restarts: Annotated[
        int | None, typer.Option(help="Descents, of which the best counts.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Most steps in a descent.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Time to search for.")] = None,
    seed: Seed = 0,
    checkpoint: Checkpoint = None,
    effort: Effort = Effort(),
    output: Output = Output(),
) -> None:
    """Search for n lines as nearly perpendicular as can be."""
    output.check()
    given = None
    if start is not None or tensor is not None:
        given = opened(start, tensor, "--start", "--tensor")
    from ..capacity import coherence_floor, null
    from ..capacity import pack as search

    found = search(
        n, d, start=given, restarts=restarts, max_steps=max_steps, seconds=seconds, seed=seed,
        checkpoint=checkpoint, **effort.keywords(),
    )  # fmt: skip
    floor, law = coherence_floor(n, d), null(n, d).coherence
    facts = {
        "n": n,
        "d": d,
        "coherence": found.coherence,
        "angle": found.angle,
        "floor": floor.cosine,
        "floor_name": floor.name,
        "random": law.mean,
        "restarts": found.restarts,
        "history": [asdict(one) for one in found.history],
    }
    lines = {
        "coherence": repr(found.coherence),
        "angle": f"{found.angle:.6f} degrees",
        "no lines have less": f"{floor.cosine:.9g}  ({floor.name})",
        "random lines": f"{law.mean:.6f} +- {law.std:.6f}",
        "restarts": f"{found.restarts:,}",
    }
    columns = {f"x{place}": column for place, column in enumerate(found.vectors.T)}
    output.write(Answer(facts, lines, {"vectors": found.vectors}, columns))


def greedy(
    d: Dimensions,
    angle: Angle = None,
    cosine: Cosine = None,
    attempts: Annotated[int, typer.Option(help="Random directions to try.")] = 100_000,
    seed: Seed = 0,
    checkpoint: Checkpoint = None,
    effort: Effort = Effort(),
    output: Output = Output(),
) -> None:
    """Keep random directions that are far enough from all kept."""
    output.check()
    from ..capacity import bounds
    from ..capacity import greedy as search

    found = search(
        d, angle=angle, cosine=cosine, attempts=attempts, seed=seed, checkpoint=checkpoint,
        **effort.keywords(),
    )  # fmt: skip
    limits = bounds(d, cosine=found.cosine)
    facts = {
        "d": d,
        "angle": found.angle,
        "cosine": found.cosine,
        "attempts": found.attempts,
        "seed": found.seed,
        "accepted_count": len(found),
        "before_first_refusal": found.before_first_refusal,
        "seconds": found.seconds,
    }
    lines = {
        "accepted": f"{len(found):,} of {found.attempts:,} random directions",
        "before the first refusal": f"{found.before_first_refusal:,}",
        "bounds": str(limits),
        "time": f"{found.seconds:.3g} s",
    }
    columns = {"accepted": found.accepted}
    arrays = {**columns, "vectors": found.vectors}
    output.write(Answer(facts, lines, arrays, columns))
