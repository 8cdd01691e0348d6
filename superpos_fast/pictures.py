"""Distributions of what was measured, drawn on axes beside what chance alone gives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .capacity.chance import Null
from .drawing import ACCENT, CHANCE, INK, legend, named, plain_numbers

_BINS = 80
# A logarithmic axis of counts begins below the bars of height 1.
_FLOOR = 0.5
# A search is drawn on a logarithmic axis of time where it lasted so many times its first success.
_DECADES = 30.0
_BESIDE = "random directions, mean ± 2 deviations"


def draw_angles(
    axes: Any, counts: NDArray[np.int64], edges: NDArray[np.float64], chance: Null
) -> None:
    """Draw how many pairs are how far apart, over mean and two deviations of random directions."""
    means, covariance, _ = chance.histogram(bins=edges)
    _bars(axes, counts, edges, "these pairs")
    _band(axes, edges, means, np.sqrt(np.diag(covariance).clip(0.0)))
    _logarithmic(axes, max(counts.max(), means.max()))
    likely = np.flatnonzero((counts > 0) | (means > _FLOOR))
    low, high = edges[likely[0]], edges[likely[-1] + 1]
    axes.set_xlim(max(edges[0], low - 2.0), min(edges[-1], high + 2.0))
    step = _round_step(high - low)
    axes.set_xticks([tick for tick in np.arange(0.0, 181.0, step) if low - 2 <= tick <= high + 2])
    named(axes, "Angles of all pairs", "angle in degrees", "pairs per degree (log scale)")
    legend(axes)


def draw_nearest(axes: Any, cosines: NDArray[np.float64], chance: Null) -> None:
    """Draw how near each vector's nearest is, over what is expected of random directions."""
    values = np.abs(cosines[~np.isnan(cosines)])
    law = chance.row_maximum
    low = min(float(values.min()), law.quantile(1e-6))
    high = max(float(values.max()), law.quantile(1.0 - 1e-6))
    edges = _spaced(low, high)
    counts, _ = np.histogram(values, edges)
    shares = np.diff([law.below(edge) for edge in edges.tolist()])
    means = len(values) * shares
    _bars(axes, counts, edges, "these vectors")
    _band(axes, edges, means, np.sqrt(means * (1.0 - shares)))
    _logarithmic(axes, max(counts.max(), means.max()))
    axes.set_xlim(edges[0], edges[-1])
    named(
        axes,
        "Each vector's nearest",
        "|cos| with the nearest other vector",
        "vectors per bin (log scale)",
    )
    legend(axes)


def draw_interference(
    axes: Any, values: NDArray[np.float64], chance: Null, floor: float | None = None
) -> None:
    """Draw the sums of squared cosines, over what is expected of random directions.

    `floor` is the least mean that so many vectors have.
    """
    values = values[~np.isnan(values)]
    law = chance.interference
    low, high = law.mean - 2.0 * law.std, law.mean + 2.0 * law.std
    marks = [low, high] if floor is None else [low, high, floor]
    edges = _spaced(max(0.0, min(float(values.min()), *marks)), max(float(values.max()), *marks))
    axes.axvspan(low, high, color=CHANCE, alpha=0.3, linewidth=0)
    axes.axvline(law.mean, color=CHANCE, linewidth=1.2, label=_BESIDE)
    counts, _ = np.histogram(values, edges)
    _bars(axes, counts, edges, "these vectors")
    if floor is not None:
        axes.axvline(
            floor, color=INK, linewidth=1.0, dashes=(4, 2), label="the least mean possible"
        )
    _linear(axes, counts.max())
    named(axes, "Interference", "sum of cos² with all others", "vectors per bin")
    legend(axes)


def draw_dimensionality(axes: Any, values: NDArray[np.float64], d: int) -> None:
    """Draw the shares of a dimension that features have, beside that in a tight frame."""
    values = values[~np.isnan(values)]
    even = min(1.0, d / len(values))
    low, high = min(float(values.min()), even), max(float(values.max()), even)
    edges = _spaced(max(0.0, low - 0.02 * (high - low)), high)
    counts, _ = np.histogram(values, edges)
    _bars(axes, counts, edges, "these features")
    axes.axvline(even, color=INK, linewidth=1.0, dashes=(4, 2), label="d / n: evenly shared")
    _linear(axes, counts.max())
    named(axes, "Feature dimensionality", "share of a dimension", "features per bin")
    legend(axes)


def draw_search(
    axes: Any,
    seconds: NDArray[np.float64],
    coherences: NDArray[np.float64],
    chance: Null,
    floor: float,
) -> None:
    """Draw how the coherence fell as a search went on, over that of random lines and the floor."""
    law = chance.coherence
    axes.axhspan(
        law.quantile(0.025),
        law.quantile(0.975),
        color=CHANCE,
        alpha=0.3,
        linewidth=0,
        label="random lines, 95 %",
    )
    axes.axhline(floor, color=INK, linewidth=1.0, dashes=(4, 2), label="no lines have less")
    axes.step(
        seconds, coherences, where="post", color=ACCENT, linewidth=1.6, label="best until then",
        marker="o", markersize=3.5,
    )  # fmt: skip
    is_long = seconds[-1] > _DECADES * seconds[0] > 0.0
    if is_long:
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0.0)
    named(
        axes,
        "The search for a packing",
        "seconds (log scale)" if is_long else "seconds",
        "coherence (the largest |cos|)",
    )
    legend(axes)


def _bars(axes: Any, counts: Any, edges: Any, label: str) -> None:
    axes.stairs(counts, edges, fill=True, color=ACCENT, alpha=0.45, linewidth=0)
    axes.stairs(counts, edges, color=ACCENT, linewidth=1.2, label=label)


def _band(axes: Any, edges: Any, means: Any, deviations: Any) -> None:
    """Draw what is expected, and a band of two standard deviations on either side."""
    low, high = means - 2.0 * deviations, means + 2.0 * deviations
    ends = [np.append(heights, heights[-1]) for heights in (low.clip(0.0), high)]
    axes.fill_between(edges, *ends, step="post", color=CHANCE, alpha=0.3, linewidth=0)
    axes.stairs(means, edges, baseline=None, color=CHANCE, linewidth=1.2, label=_BESIDE)


def _logarithmic(axes: Any, highest: float) -> None:
    """Show counts of 1 and more, and have room for the legend above them."""
    axes.set_yscale("log")
    axes.set_ylim(_FLOOR, _FLOOR * (max(2.0, highest) / _FLOOR) ** 1.3)


def _linear(axes: Any, highest: float) -> None:
    """Have room for the legend above counts."""
    plain_numbers(axes.yaxis)
    axes.set_ylim(0.0, 1.35 * highest)


def _spaced(low: float, high: float) -> NDArray[np.float64]:
    """Return edges of bins over a range, which may be a point."""
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.01, high + 0.01
    return np.linspace(low, high, _BINS + 1)


def _round_step(span: float) -> float:
    """Return a step of 1, 2, 5, 10, ... degrees that divides a range into about six."""
    power: float = 10.0 ** math.floor(math.log10(span / 6.0))
    return next(power * step for step in (1.0, 2.0, 3.0, 5.0, 10.0) if power * step >= span / 8.0)
