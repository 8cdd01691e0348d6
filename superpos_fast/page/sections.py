"""The sections of a report: sentences, tables and figures of what was found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..findings import Findings, Groups
from ..pictures import draw_angles, draw_dimensionality, draw_interference, draw_nearest
from .figures import drawn
from .markup import Cell, Markup, amount, count_of, element, figure, joined, power, table

_MOST_GROUPS, _MOST_MEMBERS = 20, 12
Names = Mapping[int, str]


def head(found: Findings, title: str, names: Names) -> Markup:
    """Return title, size, and what everyone asks first."""
    stats = found.statistics
    size = (
        f"{stats.vectors:,} vectors in {count_of(stats.dimension, 'dimension')}, "
        f"{count_of(stats.pairs, 'pair')}"
    )
    angle = _angle(stats.coherence)
    i, j = stats.pair
    mean, std = stats.random["expected_coherence"], stats.random["coherence_std"]
    keys = [
        ("Coherence, the largest |cos|", f"{stats.coherence:.6f}", "exact, decided in float64"),
        ("The closest two", f"{i}, {j}", f"{angle:.4f}° apart, as lines"),
        ("Random directions", f"{mean:.4f}", f"± {std:.4f}, their expected coherence"),
        ("Least possible", f"{found.floor.cosine:.4f}",
         f"for any {stats.vectors:,} ({found.floor.name.title()})"),
    ]  # fmt: skip
    listed = [
        element(
            "div",
            element("dt", name),
            element("dd", value, element("span", more, class_="soft"), class_=kind),
        )
        for (name, value, more), kind in zip(keys, ("main", "", "", ""), strict=True)
    ]
    parts = [element("h1", title), element("p", size, class_="soft")]
    parts.append(element("dl", *listed, class_="key"))
    if i in names or j in names:
        both = " and ".join(f"“{names.get(row, row)}”" for row in (i, j))
        parts.append(element("p", f"The closest two are {both}."))
    return element("header", *parts)


def comparison(found: Findings) -> Markup:
    """Return the figures beside those of random directions and the least possible."""
    stats, chance = found.statistics, found.statistics.chance
    n, d = stats.vectors, stats.dimension
    nearest = float(np.nanmedian(np.abs(stats.nearest_cosines)))
    mean = stats.random["expected_coherence"]
    excess = max(0.0, (n - d) / d)
    rows: list[Sequence[str]] = [
        ("Coherence", figure(stats.coherence, 6), figure(mean),
         figure(found.floor.cosine)),
        ("Angle between the closest two", f"{_angle(stats.coherence):.2f}°",
         f"{_angle(mean):.2f}°", f"{found.floor.angle:.2f}°"),
        ("Nearest |cos|, median", figure(nearest), figure(stats.random["nearest"]), "–"),
        ("Mean |cos|", figure(stats.mean_abs_cosine), figure(stats.random["mean_abs_cosine"]), "–"),
        ("Root mean square cos", figure(stats.rms_cosine), figure(1.0 / math.sqrt(d)),
         figure(math.sqrt(excess / (n - 1)))),
        ("Interference, mean", figure(stats.mean_interference, 2),
         figure(chance.interference.mean, 2), figure(excess, 2)),
        ("Feature dimensionality, median",
         figure(float(np.nanmedian(found.dimensionality))), "–", "–"),
    ]  # fmt: skip
    heads = ("", "These", "Random", "Least")
    floors = ", ".join(
        f"{name.title()} {value:.6f}" for name, value in found.floor.floors.items() if value > 0.0
    )
    z = stats.zscores
    words = (
        f"Random: {n:,} independent uniform directions, whose root mean square cosine is "
        f"1/\u2060√d. The coherence lies {_deviations(z['coherence'])} their mean, the "
        f"mean cos² {_deviations(z['mean_square_cosine'], '')}. Least: no {n:,} lines in "
        f"{count_of(d, 'dimension')} have less (the angle: more)"
        + (f"; bounds of the coherence: {floors}." if floors else ".")
    )
    return _section(
        "Beside random directions",
        table("Figures beside random directions and the least possible", heads, rows),
        element("p", words, class_="soft"),
    )


def distributions(found: Findings) -> Markup:
    """Return the four pictures."""
    stats, chance = found.statistics, found.statistics.chance
    n, d = stats.vectors, stats.dimension
    seen = np.flatnonzero(stats.histogram)
    nearest = np.abs(stats.nearest_cosines)
    shared, shares = found.interference, found.dimensionality
    floor = max(0.0, (n - d) / d)
    figures = [
        drawn(
            "angles",
            lambda axes: draw_angles(axes, stats.histogram, stats.edges, chance),
            f"Histogram of the angles of all pairs, from {stats.edges[seen[0]]:.0f} to "
            f"{stats.edges[seen[-1] + 1]:.0f} degrees, over what is expected of random "
            f"directions, which peak at 90 degrees with a deviation of {chance.angle.std:.1f}.",
            f"Angles between vectors, 0 to 180 degrees; the median is "
            f"{stats.angle_quantiles[0.5]:.2f}°. Random directions deviate from 90° by "
            f"{chance.angle.std:.2f}°.",
        ),
        drawn(
            "nearest",
            lambda axes: draw_nearest(axes, stats.nearest_cosines, chance),
            "Histogram of each vector's largest cosine in magnitude, from "
            f"{np.nanmin(nearest):.3f} to {np.nanmax(nearest):.3f}, median "
            f"{np.nanmedian(nearest):.3f}; the median of random directions is "
            f"{stats.random['nearest']:.3f}.",
            f"Of each vector the largest |cos| with another. Half of them have "
            f"{np.nanmedian(nearest):.3f} or more; of random directions "
            f"{stats.random['nearest']:.3f}.",
        ),
        drawn(
            "interference",
            lambda axes: draw_interference(axes, shared, chance, floor),
            f"Histogram of the interference of each vector, from {np.nanmin(shared):.3g} to "
            f"{np.nanmax(shared):.3g}, mean {np.nanmean(shared):.3g}; random directions have "
            f"{chance.interference.mean:.3g}, and no mean is below {floor:.3g}.",
            f"The mean is {np.nanmean(shared):.2f}; random directions have (n − 1)/d = "
            f"{chance.interference.mean:.2f}, a tight frame (n − d)/d = {floor:.2f}.",
        ),
        drawn(
            "dimensionality",
            lambda axes: draw_dimensionality(axes, shares, d),
            f"Histogram of feature dimensionality, from {np.nanmin(shares):.3g} to "
            f"{np.nanmax(shares):.3g}; evenly shared it would be {min(1.0, d / n):.3g}.",
            "|Wᵢ|² / Σⱼ(Ŵᵢ·Wⱼ)²: 1 for a feature perpendicular to all others, 1/2 in an antipodal "
            f"pair. All together {np.nansum(shares):.1f} of {count_of(d, 'dimension')}.",
        ),
    ]  # fmt: skip
    return _section("Distributions", element("div", *figures, class_="figures"))


def closest(found: Findings, names: Names) -> Markup:
    """Return the table of the closest pairs."""
    listed = found.closest
    rows = [
        (
            Cell(str(rank), rank),
            Cell(f"{cosine:+.6f}".replace("-", "−"), cosine),
            Cell(f"{_angle(abs(cosine)):.4f}", _angle(abs(cosine))),
            _vector(i, names),
            _vector(j, names),
        )
        for rank, (i, j, cosine) in enumerate(
            zip(listed.i.tolist(), listed.j.tolist(), listed.cosine.tolist(), strict=True), 1
        )
    ]
    heads = ("Rank", "cos", "Angle, °", "Vector", "and vector")
    few = len(listed) == found.statistics.pairs
    caption = f"{'All' if few else 'The'} {count_of(len(rows), 'closest pair')}"
    return _section(
        caption,
        table(caption, heads, rows, texts=(3, 4) if names else (), sortable=True),
    )


def duplicates(found: Findings, names: Names) -> Markup:
    """Return the groups of near-duplicates."""
    rows = [
        (
            f"{groups.cosine:g}",
            f"{_angle(groups.cosine):.2f}°",
            f"{groups.pairs:,}" if groups.members is not None else f"≥ {groups.pairs:,}",
            *_sizes(groups),
        )
        for groups in found.groups
    ]
    heads = ("|cos| at least", "Angle at most", "Pairs", "Groups", "Vectors in them", "Largest")
    title = "Groups of near-duplicates"
    parts: list[str | Markup] = [
        element("p", "Vectors linked by pairs that close, or by chains of such pairs."),
        table(title, heads, rows, texts=()),
    ]
    if any(groups.members is None for groups in found.groups):
        parts.append(element("p", "Where groups are missing there are too many pairs to list."))
    parts += [_members(groups, names) for groups in found.groups if groups.members]
    return _section(title, *parts)


def orthogonal(found: Findings) -> Markup:
    """Return how many are nearly orthogonal to all others, and how many could be."""
    n, d = found.statistics.vectors, found.statistics.dimension
    rows = [
        (
            f"{one.tolerance:g}°",
            f"{one.vectors:,}",
            f"{one.vectors / n:.1%}",
            f"{one.random:,.1f}",
            amount(one.bounds.log10_lower, one.bounds.lower),
            amount(one.bounds.log10_upper, one.bounds.upper),
        )
        for one in found.orthogonal
    ]
    heads = (
        "Within", "Vectors", "Share", "Random directions", "Would fit, at least", "at most",
    )  # fmt: skip
    title = "Nearly orthogonal to all others"
    words = (
        f"How many of the {n:,} vectors are so near to 90° with each of the others, how many of as "
        f"many random directions would be, and how many lines fit into {count_of(d, 'dimension')} "
        "that all are (rigorous bounds)."
    )
    return _section(title, element("p", words), table(title, heads, rows, texts=()))


def provenance(found: Findings, version: str, made: str) -> Markup:
    """Return how all this was computed, and how far it is exact."""
    run = found.statistics.run
    failure = sum(one.failure for one in found.runs)
    screens = (
        "Codes of 8 bits and float32 rule pairs out first. The codes are rounded at random; that "
        f"they made any of this wrong has a probability below {power(f'{failure:.0e}')}. "
        if failure
        else "Faster arithmetic rules pairs out first, by error bounds that hold for certain. "
    )
    exact = (
        "Coherence, neighbours, pairs, groups and counts are exact: decided by float64 arithmetic "
        f"in a fixed order, the same to the last bit on any machine. {screens}Means, interference "
        "and dimensionality are sums in float32, within bounds that the documentation states."
    )
    time = (
        f"{found.seconds:.1f} s on {count_of(run.threads, 'thread')} "
        f"({sum(one.startup for one in found.runs):.1f} s of these to load kernels): "
        f"{count_of(len(found.runs), 'pass', 'passes')} over {count_of(run.pairs, 'pair')}, of "
        f"which {sum(one.survivors + one.open_pairs for one in found.runs):,} were decided in "
        "float64."
    )
    made_by = f"superpos_fast {version}, {made}."
    return element(
        "footer",
        element("h2", "How this was computed"),
        *(element("p", words) for words in (exact, time, made_by)),
    )


def _section(title: str, *contents: str | Markup) -> Markup:
    return element("section", element("h2", title), *contents)


def _angle(cosine: float) -> float:
    return math.degrees(math.acos(min(1.0, cosine)))


def _deviations(z: float, unit: str = " standard deviations") -> str:
    return f"{abs(z):,.1f}{unit} {'above' if z >= 0.0 else 'below'}"


def _vector(row: int, names: Names) -> Cell:
    if row not in names:
        return Cell(str(row), row)
    label = element("span", names[row], class_="label")
    return Cell(joined([str(row), label]), row)


def _sizes(groups: Groups) -> tuple[str, str, str]:
    if groups.members is None:
        return "–", "–", "–"
    largest = len(groups.members[0]) if groups.members else 0
    return f"{len(groups.members):,}", f"{groups.vectors:,}", f"{largest:,}"


def _members(groups: Groups, names: Names) -> Markup:
    """Return the largest groups of a threshold, to be unfolded."""
    members = groups.members or ()
    items = []
    for group in members[:_MOST_GROUPS]:
        listed = ", ".join(
            f"{row} {names[row]}" if row in names else str(row) for row in group[:_MOST_MEMBERS]
        )
        more = len(group) - _MOST_MEMBERS
        items.append(element("li", listed + (f" and {more:,} more" if more > 0 else "")))
    which = "the largest of " if len(members) > _MOST_GROUPS else ""
    title = f"{which}{count_of(len(members), 'group')} at {groups.cosine:g}"
    return element(
        "details", element("summary", title[0].upper() + title[1:]), element("ol", *items)
    )
