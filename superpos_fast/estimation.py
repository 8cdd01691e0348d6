"""Statistics of all pairs from a sample of rows, with intervals that are proven."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .angles import real_numbers
from .bins import Quantity
from .checks import shown
from .execution import Execution, check_keywords
from .questions import question_of
from .results import ArrayRecord, Coherence, Run
from .sampling import drawn_rows
from .vectors import Matrix, check_count

Statistic = Literal["mean_cosine", "count", "histogram", "row_maximum"]
Numbers = float | NDArray[np.float64]

_MOST_ROWS = 2**62


@dataclass(frozen=True, eq=False)
class Estimate(ArrayRecord):
    """What a sample of rows tells of all pairs.

    Attributes
    ----------
    of : str
        What was asked for.
    value : float, or ndarray of float64
        The best guess: unbiased for counts and the mean (within float32's bound); of quantiles
        those of the sample.
    lower, upper : float, or ndarray of float64
        All true values lie between them, *together*, with a probability of at least `confidence`.
    confidence : float
        As asked for.
    rows, population : int
        Rows drawn, and rows there are (without those left out).  If they are the same, all is
        exact: no interval, but for what float32 leaves open in a mean.
    at : float, ndarray of float64, or None
        What the values belong to: thresholds as cosines, bin edges (one more than values), or q.
    largest : Coherence or None
        Of "row_maximum": the closest pair with a drawn row, a witness that the coherence is at
        least so large.  Certain, whatever the confidence.
    run : Run
        Facts about the run, left out of comparisons.
    """

    of: str
    value: Numbers
    lower: Numbers
    upper: Numbers
    confidence: float
    rows: int
    population: int
    at: Numbers | None = None
    largest: Coherence | None = None
    run: Run = field(default=Run(), compare=False, repr=False)


def estimate(
    vectors: Matrix,
    *,
    of: Statistic = "mean_cosine",
    rows: int = 1000,
    confidence: float = 0.99,
    seed: int = 0,
    cosine: ArrayLike | None = None,
    angle: ArrayLike | None = None,
    bins: int | ArrayLike | None = None,
    range: tuple[float, float] | None = None,  # noqa: A002
    quantity: Quantity | None = None,
    q: ArrayLike | None = None,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Estimate:
    """Estimate a statistic of all pairs from some rows against all, with a proven interval.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, as for `coherence`.
    of : {"mean_cosine", "count", "histogram", "row_maximum"}
        The mean of |cos| over all pairs; how many pairs have |cos| at least `cosine`, or lines at
        most `angle` apart (one or many, as for `count`); the histogram of a `quantity` ("angle",
        "line_angle", "cosine" or "abs_cosine") in `bins` over a `range`, as for `histogram`;
        quantiles `q` (default 0.5, 0.9, 0.99) over the vectors of the largest |cos| that each has
        with another.
    rows : int
        How many to draw, without replacement; all of them, and the answer is exact.
    confidence : float
        Between 0 and 1: the least probability, over the draw, that no interval is wrong.
    seed : int
        Of the draw.
    cosine, angle, bins, range, quantity, q
        What is asked for, see `of`; each comes with its own question only.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out: they are drawn by nobody and count for nothing.
    **execution
        How to compute (see `Execution`); with ``checkpoint`` it can be stopped and goes on.  There
        are no shares: with fewer `rows` there is less to do.

    Returns
    -------
    Estimate
        ``value``, ``lower``, ``upper``, and ``largest``, a certified lower bound of the coherence
        (no sample gives an upper one).  The same for the same seed, whatever the threads, memory
        and backend; the mean within float32's bound, which its interval includes.

    Raises
    ------
    TypeError, ValueError
        As for `coherence`, `count` and `histogram`; and for a keyword of another question.

    Notes
    -----
    2 rows n d operations instead of n (n - 1) d.  The drawn rows are copied, within ``memory``.

    Counts and histogram: a row's share of its n - 1 pairs is between 0 and 1, and the mean share of
    the m drawn rows is off as `superpos_fast.concentration.mean_bounds` says, by Hoeffding's
    (1963) and Serfling's (1974) inequalities, each of b numbers at its b-th part of the risk (union
    bound): about sqrt(2 s L / m) for a share s of all pairs, with L = ln(2 b / (1 - confidence)),
    and no less than L / m above.  Nothing is assumed of the vectors, so rare pairs need many rows:
    there might be a cluster that no row was drawn from.

    Mean: the same, for what each row's mean falls short of the root of its mean squared cosine.
    That is known of all rows for some 2 n d^2 operations more (see `interference`), and narrows the
    interval for random directions 5 times (n = 3000, d = 16) to 9 times (20000 x 256).

    Quantiles: how many of the drawn rows are among the k lowest of all is hypergeometric, so that
    order statistics of the sample bound those of all rows; the union bound again.

    Examples
    --------
    >>> import numpy as np
    >>> import superpos_fast
    >>> x = np.random.default_rng(0).standard_normal((3000, 16))
    >>> found = superpos_fast.estimate(x, of="count", angle=60, rows=500)
    >>> int(found.lower), int(found.value), int(found.upper)
    (81814, 183441, 342780)
    >>> superpos_fast.count(x, angle=60)
    184046
    """
    options = dict(cosine=cosine, angle=angle, bins=bins, range=range, quantity=quantity, q=q)
    question = question_of(of, options)
    check_keywords(execution)
    check_count(rows, "rows", 1, _MOST_ROWS)
    check_count(seed, "seed", 0, 2**64 - 1)
    risk = _risk(confidence)
    with drawn_rows(vectors, rows, seed, zero, risk, question.demand, execution) as sample:
        value, lower, upper, largest = question.answer(sample)
        return Estimate(
            of=of,
            value=_number(value),
            lower=_number(lower),
            upper=_number(upper),
            confidence=float(confidence),
            rows=sample.drawn,
            population=sample.population,
            at=None if question.at is None else _number(question.at),
            largest=largest,
            run=sample.problem.facts(),
        )


def _risk(confidence: Any) -> float:
    numbers = real_numbers(confidence, "confidence", 0.0, 1.0)
    if numbers.ndim or not 0.0 < numbers < 1.0:
        got = shown(confidence)
        raise ValueError(
            f"confidence: must be one number between 0 and 1, both excluded, got {got}"
        )
    return 1.0 - float(numbers)


def _number(values: Any) -> Numbers:
    return values if np.ndim(values) else float(values)
