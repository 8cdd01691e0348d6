"""What a budget of interference buys: active features superposed, and every feature read back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..blocks import Source
from ..closest import coherence
from ..floating import ieee_mode
from ..moments import rms_cosine
from ..progress import reporting
from ..results import ArrayRecord
from ..vectors import Matrix, as_source, check_count
from .effort import Effort, quietly, resources_of

_THRESHOLD = 0.5
_MOST_TRIALS = 2**24
# Rows that are read at a time hold so many float64 entries, and read-outs of them as many.
_READ_ENTRIES = 2**21


@dataclass(frozen=True, eq=False)
class Readout(ArrayRecord):
    """How well features are read back from a sum of k of them.

    Attributes
    ----------
    n, d : int
        Features, dimensions.
    trials : int
        Sums that were drawn for each k.
    k : ndarray of int64, shape (m,)
        How many features are active, each with strength 1.
    noise : ndarray of float64, shape (m,)
        Root mean square of what inactive features read, which should be 0.
    signal_noise : ndarray of float64, shape (m,)
        Root mean square of what active features read, less 1.
    misses, false_alarms : ndarray of float64, shape (m,)
        Share of active features that read less than 1/2, of inactive ones that read 1/2 or more.
    all_right : ndarray of float64, shape (m,)
        Share of the sums of which every feature is on its side of 1/2.
    rms_cosine : float
        Root mean square cosine of the features.
    coherence : float
        Their largest |cos|.
    """

    n: int
    d: int
    trials: int
    k: NDArray[np.int64]
    noise: NDArray[np.float64]
    signal_noise: NDArray[np.float64]
    misses: NDArray[np.float64]
    false_alarms: NDArray[np.float64]
    all_right: NDArray[np.float64]
    rms_cosine: float
    coherence: float

    @property
    def error_rate(self) -> NDArray[np.float64]:
        """Share of all features that are read wrongly."""
        wrong: NDArray[np.float64] = (
            self.misses * self.k + self.false_alarms * (self.n - self.k)
        ) / self.n
        return wrong

    @property
    def predicted_noise(self) -> NDArray[np.float64]:
        """sqrt(k / d): what inactive features read along random directions."""
        return np.sqrt(self.k / self.d)

    @property
    def noise_of_cosines(self) -> NDArray[np.float64]:
        """sqrt(k) times the root mean square cosine: the same from these features' own cosines.

        As long as their signs are as good as random.
        """
        noise: NDArray[np.float64] = np.sqrt(self.k) * self.rms_cosine
        return noise

    @property
    def predicted_error_rate(self) -> NDArray[np.float64]:
        """The error rate if the noise were normal with the predicted variance."""
        rates = [math.erfc(_THRESHOLD / noise / math.sqrt(2)) / 2 for noise in self.predicted_noise]
        return np.array(rates)

    @property
    def guaranteed(self) -> int:
        """Up to so many active features can be told from their sum, whichever they are.

        The largest k < (1 + 1/coherence) / 2 (Donoho & Elad 2003; Tropp 2004), by basis or
        orthogonal matching pursuit; a single threshold may need fewer.
        """
        if self.coherence == 0.0:
            return self.n
        return min(self.n, max(0, math.ceil((1.0 + 1.0 / self.coherence) / 2.0) - 1))

    def likely(self, delta: SupportsFloat = 0.01) -> float:
        """Return up to how many random features a threshold of 1/2 finds all right.

        d / (8 ln(n / (2 delta))): all n with a probability of 1 - delta, as the noise has a
        variance of k/d and must stay below 1/2.
        """
        risk = float(delta)
        if not 0.0 < risk < 1.0:
            raise ValueError(f"delta: must be between 0 and 1, both excluded, got {risk:g}")
        return self.d / (8.0 * math.log(self.n / (2.0 * risk)))

    def records(self) -> list[dict[str, float]]:
        """Return a record for each k, of plain numbers, for a table."""
        names = ("k", "noise", "signal_noise", "misses", "false_alarms", "all_right")
        derived = ("error_rate", "predicted_noise", "predicted_error_rate")
        columns = {name: getattr(self, name).tolist() for name in (*names, *derived)}
        return [{name: values[at] for name, values in columns.items()} for at in range(len(self.k))]

    def __str__(self) -> str:
        lines = [
            f"{self.n:,} features in {self.d:,} dimensions, {self.trials:,} sums of each k; "
            f"guaranteed up to k = {self.guaranteed}, likely up to {self.likely():.3g}",
            f"{'k':>6}{'noise':>10}{'random':>10}{'errors':>12}{'random':>12}{'all right':>12}",
        ]
        lines += [
            f"{row['k']:6}{row['noise']:10.4f}{row['predicted_noise']:10.4f}"
            f"{row['error_rate']:12.3g}{row['predicted_error_rate']:12.3g}{row['all_right']:12.3f}"
            for row in self.records()
        ]
        return "\n".join(lines)


def readout(
    vectors: Matrix,
    k: SupportsIndex | ArrayLike,
    trials: SupportsIndex = 100,
    *,
    seed: SupportsIndex = 0,
    **effort: Unpack[Effort],
) -> Readout:
    """Superpose k features, read every feature back by its own direction, and count the errors.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        The features, one a row, as for `coherence`; their lengths do not matter.
    k : int or array_like of int
        How many are active at once, 1 to n; drawn anew for each trial.
    trials : int
        Sums for each k.
    seed : int
        Of which features are active.
    **effort
        How to compute (see `superpos_fast.capacity.Effort`); ``progress`` is of rows read.

    Returns
    -------
    Readout
        Interference and error rates against k, beside what random directions would give.  Prints as
        a table.

    Raises
    ------
    TypeError, ValueError
        As for `coherence`, and for other arguments out of range.

    Notes
    -----
    A sum is x = sum_{i active} u_i, the unit vectors of its features; feature j reads <u_j, x>,
    which is 1 for an active feature, 0 for others, but for interference.  Products are float64.
    Takes 2 n d trials operations for each k, and n (n - 1) d for the coherence.

    Examples
    --------
    >>> from superpos_fast.capacity import readout
    >>> import numpy as np
    >>> found = readout(np.random.default_rng(0).standard_normal((2000, 256)), [1, 4, 16])
    >>> found.noise.round(3).tolist(), found.predicted_noise.round(3).tolist()
    ([0.063, 0.126, 0.248], [0.062, 0.125, 0.25])
    """
    counts = np.atleast_1d(np.asarray(k))
    repeats = check_count(trials, "trials", 1, _MOST_TRIALS)
    key = check_count(seed, "seed", 0, 2**64 - 1)
    allowed = resources_of(effort)
    quiet = quietly(effort)
    # The coherence first: it refuses what is no matrix of directions.
    closest = coherence(vectors, **quiet)
    typical = rms_cosine(vectors, **quiet)
    rows = as_source(vectors, "vectors")
    n, d = rows.shape
    active = [check_count(one.item(), "k", 1, n) for one in counts.ravel()]
    if not active:
        raise ValueError("k: must be at least one number, got none")
    with ieee_mode(), reporting(allowed.progress, n * len(active)) as advance:
        tallies = [_Tally(rows, one, repeats, [key, one], advance) for one in active]
    noise, signal_noise, misses, false_alarms, all_right = (
        np.array(column) for column in zip(*(tally.rates() for tally in tallies), strict=True)
    )
    return Readout(
        n, d, repeats, np.array(active, np.int64), noise, signal_noise, misses, false_alarms,
        all_right, typical, closest,
    )  # fmt: skip


class _Tally:
    """What all features read of the sums of one k."""

    def __init__(self, rows: Source, k: int, trials: int, seed: list[int], advance: Any) -> None:
        self._n, self._k, self._trials = rows.shape[0], k, trials
        rng = np.random.default_rng(seed)
        self._active = np.stack([rng.choice(self._n, k, replace=False) for _ in range(trials)])
        sums = np.zeros((trials, rows.shape[1]))
        for place in self._active.T:
            sums += _units(np.asarray(rows.take(place)))
        self._squares = np.zeros(2)
        self._wrong = np.zeros(2, np.int64)
        self._right = np.ones(trials, bool)
        step = max(1, _READ_ENTRIES // max(rows.shape[1], trials))
        for start in range(0, self._n, step):
            block = _units(np.asarray(rows.rows(start, min(start + step, self._n))))
            self._add(start, block @ sums.T)
            advance(len(block))

    def _add(self, start: int, reads: NDArray[np.float64]) -> None:
        """Take in what some features read of each sum."""
        is_active = np.zeros(reads.shape, bool)
        trial, place = np.nonzero((self._active >= start) & (self._active < start + len(reads)))
        is_active[self._active[trial, place] - start, trial] = True
        wrong = (reads >= _THRESHOLD) != is_active
        self._right &= ~wrong.any(axis=0)
        noise = (reads - is_active) ** 2
        of_active = noise[is_active].sum()
        self._squares += noise.sum() - of_active, of_active
        self._wrong += (wrong & ~is_active).sum(), (wrong & is_active).sum()

    def rates(self) -> tuple[float, ...]:
        """Return noise of inactive and active features, misses, false alarms, share all right."""
        silent = max(1, self._trials * (self._n - self._k))
        loud = self._trials * self._k
        return (
            math.sqrt(self._squares[0] / silent),
            math.sqrt(self._squares[1] / loud),
            float(self._wrong[1] / loud),
            float(self._wrong[0] / silent),
            float(self._right.mean()),
        )


def _units(rows: Any) -> NDArray[np.float64]:
    block = rows.astype(np.float64)
    # Entries near 1 first: squares of very large or small ones leave float64.
    block /= np.abs(block).max(axis=1, keepdims=True)
    units: NDArray[np.float64] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return units
