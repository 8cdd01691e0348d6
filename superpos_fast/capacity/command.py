"""The command line's part: `superpos-fast capacity` and `superpos-fast capacity sweep`."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from . import Bounds, bounds, coherence_floor, null, sweep

_MOST_NUMBERS = 10_000

capacity = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=False, invoke_without_command=True
)


@capacity.callback()
def one(
    context: typer.Context,
    dim: Annotated[int | None, typer.Option(help="Dimensions.")] = None,
    angle: Annotated[
        float | None, typer.Option(help="The smallest angle between two lines, in degrees.")
    ] = None,
    cosine: Annotated[float | None, typer.Option(help="Or the largest |cosine|.")] = None,
    lines: Annotated[
        int | None, typer.Option(help="Or how many lines: how nearly perpendicular can they be?")
    ] = None,
    complex_: Annotated[
        bool, typer.Option("--complex", help="Lines of complex space, not of real space.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Print every bound, not the best.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print how many directions fit into --dim dimensions at a tolerance, rigorously."""
    if context.invoked_subcommand is not None:
        return
    if dim is None:
        raise ValueError("--dim: must be given, got none")
    if lines is not None:
        if angle is not None or cosine is not None:
            raise ValueError("--lines: must come without --angle and --cosine, got both")
        facts, text = _of_lines(dim, lines, complex_, every)
    else:
        found = bounds(dim, angle=angle, cosine=cosine, complex=complex_)
        facts, text = asdict(found) | {"exact": found.exact}, _of_tolerance(found, every)
    print(json.dumps(_plain(facts)) if as_json else text, flush=True)


def _plain(value: Any) -> Any:
    """Return what JSON holds: no infinity."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
    try:
        if ":" in text:
            low, high, count = text.split(":")
            steps = int(count)
            if not 2 <= steps <= _MOST_NUMBERS or not 0.0 < float(low) < float(high):
                raise ValueError
            step = (float(high) / float(low)) ** (1.0 / (steps - 1))
            values = [float(low) * step**k for k in range(steps)]
            return sorted({round(value) for value in values}) if whole else values
        return [int(part) if whole else float(part) for part in text.split(",")]
    except ValueError:
        kind = "whole numbers" if whole else "numbers"
        raise ValueError(
            f"{name}: must be {kind} like 64,128 or low:high:count, got {text!r}"
        ) from None


@capacity.command("sweep")
def sweep_command(
    dims: Annotated[str, typer.Option(help="Dimensions: 64,256 or low:high:count.")],
    angles: Annotated[
        str | None, typer.Option(help="Tolerances in degrees: 80,85 or low:high:count.")
    ] = None,
    ratios: Annotated[
        str | None, typer.Option(help="Lines per dimension: 2,8 or low:high:count.")
    ] = None,
    methods: Annotated[
        str, typer.Option(help="Of bounds, random, greedy, sample; with commas.")
    ] = "bounds",
    attempts: Annotated[int, typer.Option(help="Random directions that greedy tries.")] = 100_000,
    trials: Annotated[int, typer.Option(help="Repetitions of random and sample.")] = 10,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A file to keep what is done in, and to go on from.")
    ] = None,
    table: Annotated[Path | None, typer.Option("--csv", help="Write the table there.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the table there (.png, .pdf).")] = None,
    threads: Annotated[int | None, typer.Option(help="How many threads.")] = None,
) -> None:
    """Tabulate and draw bounds and experiments for many dimensions and tolerances."""
    found = sweep(
        _numbers(dims, "--dims", True),
        [] if angles is None else _numbers(angles, "--angles", False),
        [method.strip() for method in methods.split(",")],
        ratios=[] if ratios is None else _numbers(ratios, "--ratios", False),
        attempts=attempts,
        trials=trials,
        seed=seed,
        checkpoint=checkpoint,
        threads=threads,
        progress=sys.stderr.isatty(),
    )
    if table is not None:
        found.to_csv(table)
    if plot is not None:
        found.plot(plot)
    if table is None and plot is None:
        for row in found.records():
            print(json.dumps(row))
    else:
        written = " and ".join(str(path) for path in (table, plot) if path is not None)
        print(f"{len(found)} rows: {written}", flush=True)
