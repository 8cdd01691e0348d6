"""Random sequential adsorption: keep a random direction if it is far enough from all kept ones."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import SupportsFloat, SupportsIndex, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..angles import one_threshold
from ..backends import choose_host_kernels
from ..crew import Crew
from ..floating import ieee_mode
from ..generated import STREAM, drawn
from ..progress import reporting
from ..results import ArrayRecord
from ..vectors import check_count
from .checkpoints import KeptIn, Progressed
from .directions import BLOCK
from .effort import Effort, resources_of
from .tails import log_tail
from .tolerated import TOGETHER, Kept

_MOST_ATTEMPTS = 2**40
_MOST_DIMENSIONS = 2**20
# Survivors of a block that are held against each other at a time: 128^2 / 2 pairs in float64.
_IN_TURN = 128


@dataclass(frozen=True, eq=False)
class Greedy(ArrayRecord):
    """Directions that were accepted one after the other.

    Attributes
    ----------
    d : int
        Dimensions.
    cosine : float
        The tolerance: the largest |cos| that two accepted directions have.
    attempts : int
        Random directions that were tried.
    seed : int
        Of their sequence.
    accepted : ndarray of int64, shape (count,)
        Which of them were accepted, ascending: attempt numbers from 0.
    vectors : ndarray of float32, shape (count, d)
        Those, of any length.
    seconds : float
        Wall time of this call; no part of the answer.
    """

    d: int
    cosine: float
    attempts: int
    seed: int
    accepted: NDArray[np.int64]
    vectors: NDArray[np.float32]
    seconds: float = field(default=0.0, compare=False)

    def __len__(self) -> int:
        return len(self.accepted)

    @property
    def angle(self) -> float:
        """The tolerance as an angle, in degrees."""
        return math.degrees(math.acos(self.cosine))

    @property
    def before_first_refusal(self) -> int:
        """How many random directions were within the tolerance before the first was not."""
        misses = np.flatnonzero(self.accepted != np.arange(len(self.accepted)))
        return int(misses[0]) if len(misses) else len(self.accepted)

    @property
    def expected_at_least(self) -> float:
        """A lower bound of the expected count, (1 - (1 - p)^attempts) / p.

        With n kept a random direction is accepted with a probability of at least 1 - n p, where p
        is that of two random lines being too close; so E n after T attempts is no less.
        """
        log_p = log_tail(self.d, self.cosine)
        if log_p == 0.0:
            return 1.0
        if log_p < math.log(1e-300):
            return float(self.attempts)
        p = math.exp(log_p)
        return -math.expm1(self.attempts * math.log1p(-p)) / p

    def curve(self, attempts: ArrayLike) -> NDArray[np.int64]:
        """Return how many were accepted of the first so many attempts."""
        counts: NDArray[np.int64] = np.searchsorted(self.accepted, np.asarray(attempts), "left")
        return counts

    def __repr__(self) -> str:
        what = f"d={self.d}, angle={self.angle:.6g}, attempts={self.attempts}"
        return f"Greedy({what}, accepted={len(self)})"


def greedy(
    d: SupportsIndex,
    *,
    angle: SupportsFloat | None = None,
    cosine: SupportsFloat | None = None,
    attempts: SupportsIndex = 100_000,
    seed: SupportsIndex = 0,
    checkpoint: KeptIn = None,
    **effort: Unpack[Effort],
) -> Greedy:
    """Try random directions, and accept those within a tolerance of all accepted before.

    Parameters
    ----------
    d : int
        Dimensions, 1 to 2^20.
    angle : float
        The smallest angle between lines that is tolerated, 0 to 90 degrees.
    cosine : float
        Or: the largest |cos|, 0 to 1.
    attempts : int
        Random directions to try.
    seed : int
        Of the sequence they are taken from, 0 to 2^64 - 1.
    checkpoint : str, os.PathLike or Checkpoint, optional
        A file to keep the state in, every half a minute and at the end, also after Ctrl-C.  Where
        there is one of the same d, tolerance and seed, it is gone on with; more attempts go on
        beyond those it has.
    **effort
        How to compute (see `superpos_fast.capacity.Effort`); ``progress`` is of attempts, and one
        that returns False stops the run: the record then has fewer attempts.

    Returns
    -------
    Greedy
        ``accepted`` attempts and their ``vectors``; ``curve(attempts)``.

    Raises
    ------
    TypeError, ValueError
        For an argument out of range, or a checkpoint of another run.

    Notes
    -----
    Whether two directions are too close is decided as by `within_tolerance`: the answer depends on
    d, tolerance, attempts and seed, not on threads, blocks or the backend.  A candidate leaves at
    the first chunk of kept directions that holds one too close to it, so most cost some 1/p
    products, p the probability that two random lines are too close.  4 d bytes for each accepted
    direction, twice.

    Examples
    --------
    >>> from superpos_fast.capacity import greedy
    >>> found = greedy(8, angle=60, attempts=20_000)
    >>> found
    Greedy(d=8, angle=60, attempts=20000, accepted=24)
    >>> found.curve([1, 100, 10_000]).tolist()
    [1, 13, 23]
    """
    begin = time.perf_counter()
    depth = check_count(d, "d", 1, _MOST_DIMENSIONS)
    tolerance = one_threshold(cosine, angle, False)
    wanted = check_count(attempts, "attempts", 1, _MOST_ATTEMPTS)
    key = check_count(seed, "seed", 0, 2**64 - 1)
    allowed = resources_of(effort)
    state = _State(depth, tolerance, key, checkpoint)
    kernels = choose_host_kernels(allowed.backend)
    with ieee_mode(), Crew(allowed.threads) as crew:
        kernels.prepare(np.float32)
        kept = Kept(kernels, depth, tolerance)
        kept.add(state.vectors())
        walk = _Walk(state, kept, crew)
        going = True
        with reporting(allowed.progress, wanted, done=min(state.attempts, wanted)) as advance:
            try:
                while going and state.attempts < wanted:
                    before = state.attempts
                    walk.block(wanted)
                    going = advance(state.attempts - before)
                    state.save()
            finally:
                state.save(at_last=True)
    wanted = min(wanted, state.attempts)
    accepted = state.accepted[: np.searchsorted(state.accepted, wanted)]
    vectors = walk.rows()[: len(accepted)]
    return Greedy(depth, tolerance, wanted, key, accepted, vectors, time.perf_counter() - begin)


class _State:
    """What a run amounts to so far: how many attempts, which of them accepted."""

    def __init__(self, d: int, tolerance: float, seed: int, checkpoint: KeptIn) -> None:
        self.d, self.seed = d, seed
        key = {"greedy": [d, tolerance, seed], "directions": STREAM}
        self._file = Progressed(checkpoint, "run", **key)
        facts, arrays = self._file.load()
        self.attempts = self._saved = facts.get("attempts", 0)
        self._parts: list[NDArray[np.int64]] = [arrays.get("accepted", np.empty(0, np.int64))]

    @property
    def accepted(self) -> NDArray[np.int64]:
        """The accepted attempts."""
        self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def vectors(self) -> NDArray[np.float32]:
        """Draw the accepted directions anew."""
        accepted = self.accepted
        rows = np.empty((len(accepted), self.d), np.float32)
        _, starts = np.unique(accepted // BLOCK, return_index=True)
        ends = np.append(starts, len(accepted)).tolist()
        for start, stop in pairwise(ends):
            some = accepted[start:stop]
            first, end = int(some[0]), int(some[-1]) + 1
            rows[start:stop] = drawn(self.d, self.seed, first, end)[some - first]
        return rows

    def add(self, attempts: NDArray[np.int64]) -> None:
        """Note accepted attempts."""
        self._parts.append(attempts)

    def save(self, at_last: bool = False) -> None:
        """Save it if it is time, or `at_last`, and there is something new."""
        if self.attempts > self._saved and (at_last or self._file.is_due):
            self._file.save({"attempts": self.attempts}, {"accepted": self.accepted})
            self._saved = self.attempts
        if at_last:
            self._file.close()


class _Walk:
    """One attempt after the other, a block at a time."""

    def __init__(self, state: _State, kept: Kept, crew: Crew) -> None:
        self._state, self._kept, self._crew = state, kept, crew
        # At the start nearly all of a block may be accepted: blocks grow with what is kept.
        self._size = 64 if kept.count == 0 else BLOCK

    def rows(self) -> NDArray[np.float32]:
        """Return all kept rows."""
        return self._kept.rows()

    def block(self, wanted: int) -> None:
        """Try the next block of attempts."""
        first = self._state.attempts
        end = min(first + self._size, wanted)
        self._size = min(2 * self._size, BLOCK)
        rows = drawn(self._state.d, self._state.seed, first, end)
        since = self._kept.count
        parts: dict[int, NDArray[np.int64]] = {}

        def hold(start: int) -> None:
            some = rows[start : start + TOGETHER]
            parts[start] = start + self._kept.tolerated(some)

        self._crew.each(hold, range(0, len(rows), TOGETHER))
        left = np.concatenate([parts[start] for start in sorted(parts)])
        accepted = [np.empty(0, np.int64)]
        for start in range(0, len(left), _IN_TURN):
            some = left[start : start + _IN_TURN]
            some = some[self._kept.tolerated(rows[some], since)]
            some = some[self._kept.in_turn(rows[some])]
            self._kept.add(rows[some])
            accepted.append(some)
        self._state.add(first + np.concatenate(accepted))
        self._state.attempts = end
