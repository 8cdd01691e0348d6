"""The two pictures of capacity: how many lines fit against d, and coherence against n/d."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from ..drawing import COLOURS, QUIET, bare, legend, named, need_matplotlib, plain_numbers

if TYPE_CHECKING:
    from .tables import Measurement

# Powers of ten of lines, on an axis that is linear in the logarithm unless that is so large.
_POWERS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100, 200, 500, 1000, 3000, 10_000, 100_000)
_LINEAR_TO = 12
_MARKERS = {"greedy": "o", "random": "x", "sample": "o", "pack": "D"}
_WORDS = {
    "greedy": "greedy, measured",
    "random": "random until the first clash, measured",
    "sample": "random, measured",
    "pack": "optimised",
}


def draw(rows: Sequence[Measurement], path: str | PathLike[str] | None) -> Any:
    """Return the figure of a table's rows, and write it where there is a path."""
    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: list[Callable[[Any], None]] = []
    at_angles = [row for row in rows if row.given == "angle"]
    of_counts = [row for row in rows if row.given == "n"]
    if at_angles:
        panels.append(lambda axes: draw_counts(axes, at_angles))
    if of_counts:
        panels.append(lambda axes: draw_coherences(axes, of_counts))
    figure = Figure(figsize=(6.4 * len(panels), 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        bare(axes)
        panel(axes)
    if path is not None:
        figure.savefig(path, dpi=130)
    return figure


def _line(rows: Iterable[Measurement], x: str, y: str) -> tuple[list[float], list[float]]:
    points = sorted((_value(row, x), _value(row, y)) for row in rows)
    return [point[0] for point in points], [point[1] for point in points]


def _value(row: Measurement, name: str) -> float:
    if name == "ratio":
        return float(10.0**row.log10_n / row.d)
    return float(getattr(row, name))


def _groups(rows: Sequence[Measurement], name: str) -> list[tuple[Any, str, list[Measurement]]]:
    """Return the rows for each value, with a colour."""
    values = sorted({getattr(row, name) for row in rows})
    return [
        (value, COLOURS[place % len(COLOURS)], [r for r in rows if getattr(r, name) == value])
        for place, value in enumerate(values)
    ]


def draw_counts(axes: Any, rows: Sequence[Measurement]) -> None:
    """Draw log10 n against d for each tolerance: both bounds, the gap between, measured points."""
    for angle, colour, group in _groups(rows, "angle"):
        upper, lower = (
            _line([r for r in group if r.role == role], "d", "log10_n")
            for role in ("upper bound", "lower bound")
        )
        if upper[0]:
            axes.fill_between(upper[0], lower[1], upper[1], color=colour, alpha=0.13, linewidth=0)
            axes.plot(*upper, color=colour, linewidth=1.6)
            axes.plot(*lower, color=colour, linewidth=1.6)
            axes.annotate(
                f"{angle:g}°", (upper[0][-1], upper[1][-1]), (4, 0), textcoords="offset points",
                color=colour, va="center", fontsize=9, fontweight="bold",
            )  # fmt: skip
        for name, dashes in (("greedy", (4, 2)), ("random set", (1, 1.5))):
            theory = [r for r in group if r.role == "theory" and r.name == name]
            axes.plot(*_line(theory, "d", "log10_n"), color=colour, linewidth=1.0, dashes=dashes)
        _points(axes, group, "d", "log10_n", colour)
    axes.set_xscale("log")
    plain_numbers(axes.xaxis)
    tallest = max(row.log10_n for row in rows)
    if tallest > _LINEAR_TO:
        axes.set_yscale("symlog", linthresh=3)
    ticks = [power for power in _POWERS if power <= tallest]
    axes.set_yticks(ticks, [f"$10^{{{power}}}$" for power in ticks], minor=False)
    axes.set_yticks([], minor=True)
    axes.set_ylim(bottom=0)
    named(axes, "How many lines fit", "dimensions", "number of lines")
    entries: list[tuple[str, dict[str, Any]]] = [
        ("rigorous bounds, and the gap between", {"linewidth": 1.6}),
        ("greedy at least, 1/p", {"linewidth": 1.0, "dashes": (4, 2)}),
        ("a random set", {"linewidth": 1.0, "dashes": (1, 1.5)}),
    ]
    _explained(axes, entries, rows)


def draw_coherences(axes: Any, rows: Sequence[Measurement]) -> None:
    """Draw the coherence against n/d for each d: the floor, random directions, measured points."""
    for d, colour, group in _groups(rows, "d"):
        floor = _line([r for r in group if r.role == "lower bound"], "ratio", "cosine")
        mean, low, high = (
            _line([r for r in group if r.name == f"random {what}"], "ratio", "cosine")
            for what in ("mean", "5 %", "95 %")
        )
        if floor[0]:
            axes.plot(*floor, color=colour, linewidth=1.6)
            axes.fill_between(low[0], low[1], high[1], color=colour, alpha=0.2, linewidth=0)
            axes.plot(*mean, color=colour, linewidth=1.0, dashes=(4, 2))
            axes.annotate(
                f"d = {d}", (mean[0][-1], mean[1][-1]), (4, 0), textcoords="offset points",
                color=colour, va="center", fontsize=9, fontweight="bold",
            )  # fmt: skip
        _points(axes, group, "ratio", "cosine", colour)
    axes.set_xscale("log")
    plain_numbers(axes.xaxis)
    axes.set_ylim(bottom=0)
    title = "How nearly perpendicular they are"
    named(axes, title, "lines / dimensions", "coherence (the largest |cos|)")
    entries: list[tuple[str, dict[str, Any]]] = [
        ("no lines have less", {"linewidth": 1.6}),
        ("random lines, mean and 90 %", {"linewidth": 1.0, "dashes": (4, 2)}),
    ]
    _explained(axes, entries, rows)


def _points(axes: Any, rows: Sequence[Measurement], x: str, y: str, colour: str) -> None:
    for method, marker in _MARKERS.items():
        points = [r for r in rows if r.role == "measured" and r.method == method]
        axes.plot(
            *_line(points, x, y), marker, color=colour, markersize=5, markeredgewidth=1.2,
            markerfacecolor="white" if marker == "o" else colour,
        )  # fmt: skip


def _explained(
    axes: Any, entries: list[tuple[str, dict[str, Any]]], rows: Sequence[Measurement]
) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=QUIET, label=label, **style) for label, style in entries]
    measured = {row.method for row in rows if row.role == "measured"}
    handles += [
        Line2D(
            [], [], color=QUIET, marker=marker, linestyle="none", markersize=5,
            markerfacecolor="white" if marker == "o" else QUIET, label=_WORDS[method],
        )
        for method, marker in _MARKERS.items()
        if method in measured
    ]  # fmt: skip
    legend(axes, handles=handles)
