"""The records that the public functions return."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Run:
    """Facts about a run; no part of the answer.

    Attributes
    ----------
    seconds : float
        Wall time of the whole call.
    startup : float
        Of these, spent importing and compiling kernels; next to nothing after a first call.
    threads : int
        Threads that worked.
    backend : str
        Name of the backend that ran.
    pairs : int
        Pairs that the answer is about.
    survivors : int
        Pairs that the screens left undecided one by one, decided in float64.
    open_pairs : int
        Pairs decided in float64 tile by tile, because too many of a tile were undecided.
    screen : str
        What pairs were screened by before float32: "auto" or "deterministic" codes, or "off".
    dimensions : int
        Of the codes: the vectors', or fewer where these were projected first; 0 without codes.
    coded_pairs : int
        Pairs in tiles that codes settled, but for the survivors.
    failure : float
        Bound on the probability that random rounding made the answer wrong.
    bytes_read : int
        Of the vectors, as planned: once to survey them, and each group of rows as often as it is
        packed.  The log (``logging.getLogger("superpos_fast")``) has it before the work starts.
    """

    seconds: float = 0.0
    startup: float = 0.0
    threads: int = 0
    backend: str = ""
    pairs: int = 0
    survivors: int = 0
    open_pairs: int = 0
    screen: str = "off"
    dimensions: int = 0
    coded_pairs: int = 0
    failure: float = 0.0
    bytes_read: int = 0


@dataclass(frozen=True)
class Coherence:
    """The largest cosine between two vectors of a set, and who they are.

    Attributes
    ----------
    value : float
        max |cos| (or max cos, where it was asked for with ``signed=True``).
    i, j : int
        The pair that has it; of several such pairs the lowest (i, j).
    run : Run
        Facts about the run, left out of comparisons.
    """

    value: float
    i: int
    j: int
    run: Run = field(default=Run(), compare=False, repr=False)

    @property
    def angle(self) -> float:
        """The angle between the pair's lines (``signed=True``: vectors), in degrees.

        The arc cosine of `value`, good to 4 units in its last place.  A cosine near 1 tells an
        angle apart only to about 1e-6 degrees.
        """
        return math.degrees(math.acos(self.value))

    def __str__(self) -> str:
        where = f"rows {self.i} and {self.j}"
        return f"coherence {self.value:.9g} ({self.angle:.4f} degrees), {where}"


def _equal(one: Any, two: Any) -> bool:
    one, two = (np.asarray(_on_host(value)) for value in (one, two))
    return np.array_equal(one, two, equal_nan=one.dtype.kind == two.dtype.kind == "f")


def _on_host(value: Any) -> Any:
    """Return what lies on a device as an array of NumPy's, anything else as it is."""
    return value.get() if hasattr(value, "__cuda_array_interface__") else value


class ArrayRecord:
    """Records of arrays: equal where all entries are, NaN and NaN too; not hashable."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, theirs = self._compared(), other._compared()
        return all(_equal(one, two) for one, two in zip(mine, theirs, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def _compared(self) -> list[Any]:
        return [getattr(self, entry.name) for entry in fields(self) if entry.compare]  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Nearest(ArrayRecord):
    """The k nearest of each vector, best first.

    Attributes
    ----------
    cosines : ndarray of float64, shape (n, k)
        Cosines with their sign; NaN for a row left out.
    indices : ndarray of int64, shape (n, k)
        Who they are; -1 for a row left out.
    run : Run
        Facts about the run, left out of comparisons.
    """

    cosines: NDArray[np.float64]
    indices: NDArray[np.int64]
    run: Run = field(default=Run(), compare=False, repr=False)

    @property
    def angles(self) -> NDArray[np.float64]:
        """Angles between the vectors, 0 to 180 degrees; good to 4 units in the last place."""
        angles: NDArray[np.float64] = np.degrees(np.arccos(self.cosines))
        return angles

    def __repr__(self) -> str:
        count, k = self.cosines.shape
        best = np.nanmax(np.abs(_on_host(self.cosines[:, 0])))
        return f"Nearest(vectors={count}, k={k}, largest={best:.9g})"


@dataclass(frozen=True)
class Overlap:
    """How alike two sets of vectors are: the mean of the largest |cos| with the other set.

    Attributes
    ----------
    a_to_b, b_to_a : float
        Averaged over the first set, and over the second.
    run : Run
        Facts about the run, left out of comparisons.
    """

    a_to_b: float
    b_to_a: float
    run: Run = field(default=Run(), compare=False, repr=False)


@dataclass(frozen=True, eq=False)
class Pairs(ArrayRecord):
    """Chosen pairs, best first.

    Attributes
    ----------
    i, j : ndarray of int64
        The vectors of each pair.
    cosine : ndarray of float64
        Its cosine, with its sign.
    run : Run
        Facts about the run, left out of comparisons.
    """

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    cosine: NDArray[np.float64]
    run: Run = field(default=Run(), compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.i)

    def __repr__(self) -> str:
        if not len(self):
            return "Pairs(none)"
        first = f"{int(self.i[0])}, {int(self.j[0])}, {float(self.cosine[0]):.9g}"
        return f"Pairs({len(self)}, first=({first}))"


@dataclass(frozen=True)
class Tolerance:
    """Whether all pairs are within a tolerance, and a witness if not.

    Attributes
    ----------
    holds : bool
        The answer, which is also the record's truth value.
    i, j, cosine : int, int, float or None
        A pair that breaks the tolerance, and its cosine.
    run : Run
        Facts about the run, left out of comparisons.
    """

    holds: bool
    i: int | None = None
    j: int | None = None
    cosine: float | None = None
    run: Run = field(default=Run(), compare=False, repr=False)

    def __bool__(self) -> bool:
        return self.holds


@dataclass(frozen=True, eq=False)
class Certificate(ArrayRecord):
    """What proves that an assignment is the best one: a dual solution of the same value.

    A pair's score is round(2^40 |cos|); with ``signed=True`` it is round(2^40 cos) + 2^40.  No dual
    is below 0, and a_duals[i] + b_duals[j] is at least the score of (i, j), for all pairs.  As an
    assignment has each row once at most, its scores add up to no more than `bound`.

    Attributes
    ----------
    a_duals, b_duals : ndarray of int64, shapes (n,) and (m,)
        The duals; 0 for a row left out.
    total : int
        The sum of the scores that were assigned.
    rounds : int
        Passes over all pairs that looked for one that the duals do not cover; the last found none.
    candidates : int
        Pairs whose scores the assignment was found from.
    """

    a_duals: NDArray[np.int64]
    b_duals: NDArray[np.int64]
    total: int
    rounds: int
    candidates: int

    @property
    def bound(self) -> int:
        """The sum of all duals."""
        return int(self.a_duals.sum()) + int(self.b_duals.sum())

    @property
    def gap(self) -> int:
        """What `bound` is above `total`: 0."""
        return self.bound - self.total


@dataclass(frozen=True, eq=False)
class Match(ArrayRecord):
    """The best one-to-one assignment between two sets of vectors.

    Attributes
    ----------
    indices : ndarray of int64, shape (n,)
        For each vector of the first set its partner in the second, or -1.
    cosines : ndarray of float64, shape (n,)
        The pair's cosine, with its sign; NaN where there is none.
    value : float
        The sum of |cos| (``signed=True``: cos), rounded once.
    certificate : Certificate
        What proves it.
    run : Run
        Facts about the run, left out of comparisons.
    """

    indices: NDArray[np.int64]
    cosines: NDArray[np.float64]
    value: float
    certificate: Certificate = field(compare=False, repr=False)
    run: Run = field(default=Run(), compare=False, repr=False)

    @property
    def pairs(self) -> NDArray[np.int64]:
        """Pairs (i, j), shape (pairs, 2), i ascending."""
        i = np.flatnonzero(self.indices >= 0)
        return np.stack([i, self.indices[i]], axis=1)

    def __len__(self) -> int:
        return int(np.count_nonzero(self.indices >= 0))

    def __repr__(self) -> str:
        return f"Match(pairs={len(self)}, value={self.value:.9g}, gap={self.certificate.gap})"
