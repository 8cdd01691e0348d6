"""Pictures, each on axes of matplotlib: what was measured over what chance alone gives.

Every function draws on `ax`, or on a new figure of pyplot's, and returns the axes.  None changes
matplotlib's settings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, Unpack

import numpy as np

from .drawing import axes_or_new
from .execution import Execution
from .moments import dimensionality as dimensionality_of
from .moments import interference as interference_of
from .overview import AngleStatistics, describe
from .vectors import Matrix, as_source, check_zero, count_directed

if TYPE_CHECKING:
    from .capacity import Packing, Sweep

__all__ = ["capacity", "dimensionality", "histogram", "interference", "nearest", "packing"]


def histogram(
    vectors: Matrix | AngleStatistics,
    other: Matrix | None = None,
    *,
    ax: Any = None,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Any:
    """Draw how many pairs are how many degrees apart, over what random directions would give.

    Parameters
    ----------
    vectors : array_like, shape (n, d), or AngleStatistics
        One vector a row, as for `coherence`; or what `describe` returned, which costs no pass.
    other : array_like, shape (m, d), optional
        Pair every row of `vectors` with every row of `other` instead.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if left out.
    zero, **execution
        As for `describe`.

    Returns
    -------
    matplotlib.axes.Axes
        Pairs in each degree of the angle between vectors, on a logarithmic scale; the band is the
        exact mean of random directions and two standard deviations on either side.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        As for `describe`, and for an `ax` that is no axes.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.plot.histogram(superpos_fast.random_rows(200, 16)).get_xlabel()
    'angle in degrees'
    """
    found = _described(vectors, other, zero, execution)
    from .pictures import draw_angles

    axes = axes_or_new(ax)
    draw_angles(axes, found.histogram, found.edges, found.chance)
    return axes


def nearest(
    vectors: Matrix | AngleStatistics,
    other: Matrix | None = None,
    *,
    ax: Any = None,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Any:
    """Draw how near each vector's nearest neighbour is, over the law of random directions.

    Parameters
    ----------
    vectors, other, ax, zero, **execution
        As for `histogram`.

    Returns
    -------
    matplotlib.axes.Axes
        Vectors by their largest |cos|, on a logarithmic scale; the band is the expected number of
        random directions, n (F(b) - F(a)) with their exact law F = (1 - p)^(n-1), and two standard
        deviations of so many independent ones.

    Raises
    ------
    ImportError, TypeError, ValueError
        As for `histogram`.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.plot.nearest(superpos_fast.random_rows(200, 16)).get_title("left")
    "Each vector's nearest"
    """
    found = _described(vectors, other, zero, execution)
    from .pictures import draw_nearest

    axes = axes_or_new(ax)
    draw_nearest(axes, found.nearest_cosines, found.chance)
    return axes


def interference(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    ax: Any = None,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Any:
    """Draw how much each vector overlaps with all others: the sum of its squared cosines.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, as for `coherence`.
    other, ax, zero, **execution
        As for `histogram`.

    Returns
    -------
    matplotlib.axes.Axes
        Vectors by their interference; the band is that of one of n random directions, mean
        (n - 1) / d and two standard deviations, the dashed line (n - d) / d, the least mean that n
        vectors can have (Welch 1974).

    Raises
    ------
    ImportError, TypeError, ValueError
        As for `histogram`.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.plot.interference(superpos_fast.random_rows(200, 16)).get_title("left")
    'Interference'
    """
    tensor = execution.get("tensor")
    source: Any = as_source(vectors, "vectors", tensor)
    others: Any = None if other is None else as_source(other, "other", tensor)
    values = interference_of(source, others, zero=zero, **execution)
    n, d = int(np.isfinite(values).sum()), source.shape[1]
    from .capacity import null
    from .pictures import draw_interference

    axes = axes_or_new(ax)
    if others is None:
        draw_interference(axes, values, null(n, d), max(0.0, (n - d) / d))
    else:
        draw_interference(axes, values, null(n, d, count_directed(others)))
    return axes


def dimensionality(
    vectors: Matrix,
    *,
    ax: Any = None,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Any:
    """Draw the share of a dimension that each feature has to itself (Elhage et al. 2022).

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One feature a row, as for `superpos_fast.dimensionality`: lengths matter.
    ax, zero, **execution
        As for `histogram`.

    Returns
    -------
    matplotlib.axes.Axes
        Features by their dimensionality; the dashed line is d / n, that of every feature of a tight
        frame.

    Raises
    ------
    ImportError, TypeError, ValueError
        As for `histogram`.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.plot.dimensionality(superpos_fast.random_rows(200, 16)).get_xlabel()
    'share of a dimension'
    """
    source: Any = as_source(vectors, "vectors", execution.get("tensor"))
    values = dimensionality_of(source, zero=zero, **execution)
    from .pictures import draw_dimensionality

    axes = axes_or_new(ax)
    draw_dimensionality(axes, values, source.shape[1])
    return axes


def capacity(
    table: Sweep | Iterable[SupportsIndex],
    angles: Iterable[float] = (80.0, 85.0, 89.0),
    *,
    ax: Any = None,
) -> Any:
    """Draw how many lines fit into how many dimensions at a tolerance, rigorously.

    Parameters
    ----------
    table : Sweep, or iterable of int
        What `superpos_fast.capacity.sweep` returned, drawn with its measurements; or dimensions,
        whose bounds are computed.
    angles : iterable of float
        With dimensions: tolerances, the smallest angles between two lines, in degrees.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if left out.

    Returns
    -------
    matplotlib.axes.Axes
        The number of lines against the dimensions, both on logarithmic scales: for each tolerance
        the upper and the lower bound and the gap between, what random directions promise, and
        measured points.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        As for `superpos_fast.capacity.sweep`, and for a sweep without tolerances.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.plot.capacity([16, 64, 256], [80, 85]).get_ylabel()
    'number of lines'
    """
    from .capacity import Sweep, sweep
    from .capacity.plots import draw_counts

    swept = table if isinstance(table, Sweep) else sweep(table, angles)
    rows = [row for row in swept.rows if row.given == "angle"]
    if not rows:
        raise ValueError("table: must have rows for tolerances, got none")
    axes = axes_or_new(ax)
    draw_counts(axes, rows)
    return axes


def packing(found: Packing, *, ax: Any = None) -> Any:
    """Draw how the coherence of a packing fell while it was searched for.

    Parameters
    ----------
    found : Packing
        What `superpos_fast.capacity.pack` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if left out.

    Returns
    -------
    matplotlib.axes.Axes
        The best coherence against the seconds of the search; the band holds the coherence of random
        lines in 95 of 100 cases, and no lines have less than the dashed line.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError
        If it is no packing, or `ax` no axes.

    Examples
    --------
    >>> import superpos_fast
    >>> found = superpos_fast.capacity.pack(6, 3, restarts=2)
    >>> superpos_fast.plot.packing(found).get_title("left")
    'The search for a packing'
    """
    from .capacity import Packing, coherence_floor, null
    from .pictures import draw_search

    if not isinstance(found, Packing):
        raise TypeError(f"found: must be a Packing, got {type(found).__name__}")
    n, d = found.vectors.shape
    steps = [(one.seconds, one.coherence) for one in found.history]
    steps.append((max([found.run.seconds, *(second for second, _ in steps)]), found.coherence))
    seconds, coherences = np.array(steps).T
    axes = axes_or_new(ax)
    draw_search(
        axes,
        seconds,
        np.append(np.minimum.accumulate(coherences[:-1]), found.coherence),
        null(n, d),
        coherence_floor(n, d).cosine,
    )
    return axes


def _described(vectors: Any, other: Any, zero: Any, execution: Execution) -> AngleStatistics:
    check_zero(zero)
    if not isinstance(vectors, AngleStatistics):
        return describe(vectors, other, zero=zero, **execution)
    if other is not None or execution:
        name = "other" if other is not None else next(iter(execution))
        raise ValueError(f"{name}: must come with vectors, got it with statistics")
    return vectors
