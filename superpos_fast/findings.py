"""What a report says of a set of vectors, found by the functions that anyone can call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .angles import cosine_of
from .capacity import Bounds, CoherenceFloor, bounds, coherence_floor
from .execution import Execution, resources
from .moments import dimensionality, interference
from .overview import AngleStatistics, describe
from .results import Pairs, Run
from .selection import pairs

DUPLICATES = (0.7, 0.8, 0.9, 0.95)
TOLERANCES = (1.0, 3.0, 5.0)
# So many pairs at most are listed to find the groups that they make, of 64 bytes each.
_MOST_LISTED, _BYTES_PER_PAIR = 2_000_000, 64


@dataclass(frozen=True)
class Groups:
    """Vectors that are near-duplicates: linked, by pairs or chains of pairs, at a threshold.

    Attributes
    ----------
    cosine : float
        Pairs with |cos| at least this are links.
    pairs : int
        How many there are; where `members` is None at least so many.
    members : tuple of tuple of int, or None
        The vectors of each group, ascending, the largest group first; None where there are too many
        pairs to list.
    """

    cosine: float
    pairs: int
    members: tuple[tuple[int, ...], ...] | None

    @property
    def vectors(self) -> int:
        """How many vectors are in a group."""
        return sum(map(len, self.members or ()))


@dataclass(frozen=True)
class NearlyOrthogonal:
    """How many vectors are nearly orthogonal to all others, and how many lines could be.

    Attributes
    ----------
    tolerance : float
        Degrees that a pair may be off 90.
    vectors : int
        Those all of whose pairs are within it.
    random : float
        How many of so many random directions are expected to be.
    bounds : Bounds
        How many lines fit that all are.
    """

    tolerance: float
    vectors: int
    random: float
    bounds: Bounds


@dataclass(frozen=True, eq=False)
class Findings:
    """All that a report says.

    Attributes
    ----------
    statistics : AngleStatistics
        As of `describe`.
    floor : CoherenceFloor
        The least coherence that so many lines have.
    closest : Pairs
        The closest pairs, best first.
    groups : tuple of Groups
        At |cos| of 0.7, 0.8, 0.9 and 0.95.
    orthogonal : tuple of NearlyOrthogonal
        Within 1, 3 and 5 degrees.
    interference, dimensionality : ndarray of float64, shape (n,)
        As of the functions of these names.
    runs : tuple of Run
        Facts about the passes over the pairs.
    seconds : float
        That all this took.
    """

    statistics: AngleStatistics
    floor: CoherenceFloor
    closest: Pairs
    groups: tuple[Groups, ...]
    orthogonal: tuple[NearlyOrthogonal, ...]
    interference: NDArray[np.float64] = field(repr=False)
    dimensionality: NDArray[np.float64] = field(repr=False)
    runs: tuple[Run, ...] = field(repr=False)
    seconds: float = field(repr=False)


def find(source: Any, top: int, zero: Any, execution: Execution) -> Findings:
    """Look at the vectors of a source: at most three passes over their pairs."""
    begin = time.perf_counter()
    statistics = describe(source, zero=zero, **execution)
    closest = pairs(source, top=min(top, statistics.pairs), zero=zero, **execution)
    groups, run = _groups(source, statistics, zero, execution)
    return Findings(
        statistics=statistics,
        floor=coherence_floor(statistics.vectors, statistics.dimension),
        closest=closest,
        groups=groups,
        orthogonal=tuple(_orthogonal(statistics, tolerance) for tolerance in TOLERANCES),
        interference=interference(source, zero=zero, **execution),
        dimensionality=dimensionality(source, zero=zero, **execution),
        runs=(statistics.run, closest.run, *([] if run is None else [run])),
        seconds=time.perf_counter() - begin,
    )


def _orthogonal(statistics: AngleStatistics, tolerance: float) -> NearlyOrthogonal:
    """Count what is within a tolerance of all others: a vector's nearest tells."""
    cosine = cosine_of(90.0 - tolerance)
    found = bounds(statistics.dimension, angle=90.0 - tolerance)
    law = statistics.chance.row_maximum
    within = np.abs(statistics.nearest_cosines) <= cosine  # NaN is not
    return NearlyOrthogonal(
        tolerance, int(within.sum()), statistics.vectors * law.below(cosine), found
    )


def _groups(
    source: Any, statistics: AngleStatistics, zero: Any, execution: Execution
) -> tuple[tuple[Groups, ...], Run | None]:
    """Return the groups at every threshold, from one list of pairs, and the run that found it."""
    memory = resources(execution).memory_for(statistics.vectors)
    limit = min(_MOST_LISTED, memory // _BYTES_PER_PAIR)
    listable = [cosine for cosine in DUPLICATES if _reaching(statistics, cosine)[1] <= limit]
    found, run = [], None
    if listable:
        listed = pairs(source, cosine=listable[0], limit=limit, zero=zero, **execution)
        sizes, run = np.abs(listed.cosine), listed.run
    for cosine in DUPLICATES:
        if cosine in listable:
            count = int((sizes >= cosine).sum())  # they are sorted, the closest first
            members = linked(listed.i[:count], listed.j[:count])
            found.append(Groups(cosine, count, members))
        else:
            found.append(Groups(cosine, _reaching(statistics, cosine)[0], None))
    return tuple(found), run


def _reaching(statistics: AngleStatistics, cosine: float) -> tuple[int, int]:
    """Return how many pairs reach a |cos|, at least and at most, as whole degrees tell."""
    counts, angle = statistics.histogram, float(np.degrees(np.arccos(cosine)))
    ends = [int(np.floor(angle)), int(np.ceil(angle))]
    least, most = (int(counts[:end].sum() + counts[len(counts) - end :].sum()) for end in ends)
    return least, most


def linked(i: NDArray[np.int64], j: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    """Return the groups that pairs link, members ascending, large groups first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, places = np.unique(np.concatenate([i, j]), return_inverse=True)
    if not len(names):
        return ()
    links = coo_array((np.ones(len(i), bool), tuple(places.reshape(2, -1))), (len(names),) * 2)
    count, group = connected_components(links, directed=False)
    order = np.argsort(group, kind="stable")
    parts: Sequence[Any] = np.split(
        names[order], np.cumsum(np.bincount(group, minlength=count))[:-1]
    )
    return tuple(sorted((tuple(part.tolist()) for part in parts), key=lambda one: (-len(one), one)))
