"""The coherence of random directions, measured: many tables, each drawn from a seed of its own."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Literal, SupportsIndex, Unpack

import numpy as np
from numpy.typing import NDArray

from ..closest import coherence
from ..execution import Execution
from ..generated import STREAM, drawn, random_rows
from ..progress import reporting
from ..results import ArrayRecord
from ..vectors import check_count
from .chance import Maximum, Null, null
from .checkpoints import KeptIn, Progressed
from .directions import BLOCK, trial_seed
from .effort import Effort, quietly, resources_of

_MOST_TRIALS = 2**40
# Of the memory cap, for a table or a part of one.
_SHARE = 4


@dataclass(frozen=True, eq=False)
class CoherenceSample(ArrayRecord):
    """Coherences of tables of random directions, beside the law that they should have.

    Attributes
    ----------
    n, d : int
        Directions in a table, dimensions.
    seed : int
        Of all tables.
    values : ndarray of float64, shape (trials,)
        The largest |cos| of each table, exact.
    row_maxima : ndarray of float64, shape (trials,)
        The largest |cos| of each table's first direction with the others, exact.
    seconds : float
        Wall time of this call; no part of the answer.
    """

    n: int
    d: int
    seed: int
    values: NDArray[np.float64]
    row_maxima: NDArray[np.float64]
    seconds: float = field(default=0.0, compare=False)

    @property
    def null(self) -> Null:
        """The null model of a table."""
        return null(self.n, self.d)

    def ks(self, of: Literal["coherence", "row_maximum"] = "coherence") -> tuple[float, float]:
        """Return Kolmogorov and Smirnov's distance from the law, and the critical one at 1 %.

        The critical distance is sqrt(ln(2 / 0.01) / (2 trials)) (Dvoretzky, Kiefer & Wolfowitz
        1956; Massart 1990), valid for any number of trials, and of the coherence the bound on its
        law's own error on top of it.
        """
        if of not in ("coherence", "row_maximum"):
            raise ValueError(f"of: must be 'coherence' or 'row_maximum', got {of!r}")
        law: Maximum = getattr(self.null, of)
        sample = np.sort(self.values if of == "coherence" else self.row_maxima)
        shares = np.array([law.below(value) for value in sample.tolist()])
        steps = np.arange(len(sample) + 1) / len(sample)
        distance = max(float((steps[1:] - shares).max()), float((shares - steps[:-1]).max()))
        critical = math.sqrt(math.log(2.0 / 0.01) / (2.0 * len(sample)))
        return distance, critical + law.largest_error

    def __str__(self) -> str:
        law = self.null.coherence
        distance, critical = self.ks()
        return "\n".join(
            [
                f"coherence of {self.n:,} random directions in {self.d:,} dimensions, "
                f"{len(self.values):,} tables",
                f"{'':10}{'these':>12}{'null':>12}",
                f"{'mean':10}{self.values.mean():12.6f}{law.mean:12.6f}",
                f"{'std':10}{self.values.std():12.6f}{law.std:12.6f}",
                *(
                    f"{f'{100 * q:g} %':10}{np.quantile(self.values, q):12.6f}"
                    f"{law.quantile(q):12.6f}"
                    for q in (0.05, 0.5, 0.95)
                ),
                f"KS distance {distance:.4f}, critical at 1 %: {critical:.4f}",
            ]
        )

    def __repr__(self) -> str:
        return f"CoherenceSample(n={self.n}, d={self.d}, trials={len(self.values)})"


def sample_coherence(
    n: SupportsIndex,
    d: SupportsIndex,
    trials: SupportsIndex = 100,
    *,
    seed: SupportsIndex = 0,
    checkpoint: KeptIn = None,
    **effort: Unpack[Effort],
) -> CoherenceSample:
    """Measure the coherence of n random directions, again and again.

    Parameters
    ----------
    n, d : int
        Directions, at least 2, and dimensions.
    trials : int
        How many independent tables.
    seed : int
        0 to 2^64 - 1; the same tables come first for any number of trials.
    checkpoint : str, os.PathLike or Checkpoint, optional
        A file to keep the trials in, every half a minute and at the end, also after Ctrl-C; where
        there is one of the same n, d and seed, it is gone on with.
    **effort
        How to compute (see `superpos_fast.capacity.Effort`).  ``progress`` is of trials, and one
        that returns False stops the run: the record then has fewer.  Tables that take more than a
        quarter of ``memory`` are drawn in parts, and drawn anew, instead of stored.

    Returns
    -------
    CoherenceSample
        Prints beside the quantiles of the null model; ``ks()`` for its distance from it.

    Raises
    ------
    TypeError, ValueError
        For an argument out of range, or a checkpoint of another run.

    Notes
    -----
    Each value is exact, as `superpos_fast.coherence` is.  n (n - 1) d operations a trial.

    Examples
    --------
    >>> from superpos_fast.capacity import sample_coherence
    >>> found = sample_coherence(200, 20, trials=50)
    >>> distance, critical = found.ks()
    >>> distance < critical
    True
    """
    begin = time.perf_counter()
    count, depth = check_count(n, "n", 2), check_count(d, "d", 1)
    wanted = check_count(trials, "trials", 1, _MOST_TRIALS)
    key = check_count(seed, "seed", 0, 2**64 - 1)
    allowed = resources_of(effort)
    room = allowed.memory_for(count) // (4 * depth * _SHARE)
    options = quietly(effort)
    run = {"sample_coherence": [count, depth, key], "directions": STREAM}
    file = Progressed(checkpoint, "run", **run)
    _, saved = file.load()
    results = [(value, row) for value, row in saved.get("results", np.empty((0, 2))).tolist()]
    known, going = len(results), True
    with reporting(allowed.progress, wanted, done=min(known, wanted)) as advance:
        try:
            while going and len(results) < wanted:
                table = trial_seed(key, len(results))
                results.append(_maxima(count, depth, table, max(BLOCK, room), options))
                going = advance(1)
                if file.is_due:
                    file.save({}, {"results": np.array(results)})
        finally:
            if len(results) > known:
                file.save({}, {"results": np.array(results)})
            file.close()
    values, rows = np.array(results[:wanted]).T
    return CoherenceSample(count, depth, key, values, rows, time.perf_counter() - begin)


def _maxima(n: int, d: int, seed: int, room: int, options: Execution) -> tuple[float, float]:
    """Return a table's largest |cos|, and its first row's; tables beyond `room` rows in parts."""
    first = drawn(d, seed, 0, 1)
    if n <= room:
        table = drawn(d, seed, 0, n)
        return coherence(table, **options), coherence(first, table[1:], **options)
    parts = ((max(1, start), min(start + room, n)) for start in range(0, n, room))
    of_first = max(coherence(first, drawn(d, seed, *part), **options) for part in parts)
    return coherence(random_rows(n, d, seed=seed), **options), of_first
