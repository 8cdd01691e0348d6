"""Explicit sets of lines, and the most that can be had of them in d dimensions.

A family is a record: its name, its source, and a function that lists, for a tolerance mu, its
members in at most d dimensions, each as (dimensions, number of lines).  Sets in orthogonal
subspaces add both dimensions and lines; dimensions that are left over hold a basis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# A tolerance that misses a member's coherence by rounding is taken to reach it.
ROUNDING = 2.0**-50
_EXACT = 36.0  # e^36 < 2^53
_LARGEST_D_ROOTS = 256  # beyond, random lines at 60 degrees are more by far
_HADAMARD_KNOWN = 664  # orders 4, 8, ..., 664 are all known; 668 is open

_Integers = NDArray[np.int64]
_Floats = NDArray[np.float64]


class Members(NamedTuple):
    """Sets of lines that a family has.

    Attributes
    ----------
    dims : ndarray of int64
        Dimensions that each spans.
    log_counts : ndarray of float64
        Logarithm of its number of lines.
    count : callable
        Of a position, the number of lines as an integer.
    label : callable
        Of a position, what the set is called.
    """

    dims: _Integers
    log_counts: _Floats
    count: Callable[[int], int]
    label: Callable[[int], str]


@dataclass(frozen=True)
class Family:
    """Sets of lines of one construction.

    Attributes
    ----------
    name, source : str
        What it is called, and where it comes from.
    members : callable
        Of (d, mu, complex), those with at most d dimensions and coherence at most mu.
    """

    name: str
    source: str
    members: Callable[[int, float, bool], Members]


def _members(
    dims: _Integers, counts: _Integers, kept: NDArray[np.bool_], label: Callable[[int], str]
) -> Members:
    """Return the kept ones of sets with as many lines as int64 holds; `label` takes old places."""
    places = np.flatnonzero(kept)
    few = counts[places]
    return Members(
        dims[places],
        np.log(few.astype(np.float64)),
        lambda at: int(few[at]),
        lambda at: label(int(places[at])),
    )


# Equiangular tight frames, and what their copies make


class _Etf(NamedTuple):
    """Equiangular tight frames: m lines in k dimensions, `spread` = 1 + (m / k - 1) / alpha."""

    k: _Integers
    m: _Integers
    alpha: _Floats
    spread: _Floats
    label: Callable[[int], str]


def _etf(k: _Integers, m: _Integers, alpha: _Floats, label: Callable[[int], str]) -> _Etf:
    return _Etf(k, m, alpha, 1.0 + (m / k - 1.0) / alpha, label)


def _complements(frames: _Etf) -> _Etf:
    """Return the frames of the complementary subspaces (Naimark): m lines in m - k dimensions."""
    left = frames.m - frames.k
    label = frames.label
    return _etf(
        left, frames.m, frames.alpha * frames.k / left, lambda at: f"complement of {label(at)}"
    )


def _copied(frames: _Etf, d: int, mu: float) -> Members:
    """Return (Bukh & Cox) m r lines in m r - k dimensions, mu = 1 / (r spread - 1).

    r copies of each line of a frame, pushed apart; more copies than the tolerance asks for add
    nothing to what a basis would.  One copy is the complementary frame.
    """
    copies = np.maximum(1, np.ceil((1.0 / mu + 1.0) / frames.spread * (1.0 - ROUNDING)))
    fits = frames.m * copies - frames.k <= d
    copies = np.where(fits, copies, 1).astype(np.int64)

    def label(at: int) -> str:
        made = "the complement" if copies[at] == 1 else f"{copies[at]} copies"
        return f"{made} of {frames.label(at)}"

    return _members(frames.m * copies - frames.k, frames.m * copies, fits, label)


def _themselves(frames: _Etf, d: int, mu: float) -> Members:
    kept = (frames.k <= d) & (frames.alpha <= mu * (1.0 + ROUNDING))
    return _members(frames.k, frames.m, kept, frames.label)


def _joined(*parts: Members) -> Members:
    starts = np.cumsum([0, *(len(part.dims) for part in parts)])

    def find(at: int) -> tuple[Members, int]:
        which = int(np.searchsorted(starts, at, "right")) - 1
        return parts[which], at - int(starts[which])

    def count(at: int) -> int:
        part, place = find(at)
        return part.count(place)

    def label(at: int) -> str:
        part, place = find(at)
        return part.label(place)

    dims = np.concatenate([part.dims for part in parts])
    return Members(dims, np.concatenate([part.log_counts for part in parts]), count, label)


def _simplices(d: int, mu: float, complex_: bool) -> Members:
    k = np.arange(1, d + 1, dtype=np.int64)
    frames = _etf(k, k + 1, 1.0 / k, lambda at: f"a simplex of {k[at] + 1}")
    return _joined(_themselves(frames, d, mu), _copied(frames, d, mu))


def _conference(d: int, mu: float, complex_: bool) -> Members:
    q = prime_powers(2 * d)
    q = q[q % 4 == 1]
    frames = _etf(
        (q + 1) // 2, q + 1, 1.0 / np.sqrt(q), lambda at: f"the conference frame of q = {q[at]}"
    )
    return _joined(_themselves(frames, d, mu), _copied(frames, d, mu))


def _steiner(d: int, mu: float, complex_: bool) -> Members:
    v = np.arange(4, min(_HADAMARD_KNOWN, math.isqrt(8 * d) + 4) + 1, 4, dtype=np.int64)
    frames = _etf(
        v * (v - 1) // 2, v * v, 1.0 / (v - 1), lambda at: f"the Steiner frame of K_{v[at]}"
    )
    both = (frames, _complements(frames))
    return _joined(*(part(one, d, mu) for one in both for part in (_themselves, _copied)))


# k, m, 1 / alpha of single frames (Fickus & Mixon 2015).
_SINGLE_ETFS = np.array(
    [
        (7, 28, 3), (15, 36, 5), (21, 126, 5), (22, 176, 5), (23, 276, 5), (35, 120, 7),
        (43, 344, 7),
    ]
)  # fmt: skip


def _single_etfs(d: int, mu: float, complex_: bool) -> Members:
    k, m, inverse = _SINGLE_ETFS.T
    frames = _etf(k, m, 1.0 / inverse, lambda at: f"{m[at]} equiangular lines in R^{k[at]}")
    both = (frames, _complements(frames))
    return _joined(*(part(one, d, mu) for one in both for part in (_themselves, _copied)))


# Lattices and designs

# Half the minimal vectors of the laminated lattices and of K12 and K13, whichever are more, in 2 to
# 24 dimensions (Conway & Sloane, Sphere Packings, Lattices and Groups, chapters 4 to 6).
_LATTICES = np.array(
    [
        3, 6, 12, 20, 36, 63, 120, 136, 168, 219, 378, 459, 711, 1170, 2160, 2673, 3699, 5334,
        8700, 13860, 24948, 46575, 98280,
    ]
)  # fmt: skip
# Dimensions, lines, 1 / mu: tight designs of order 7, and what is orthogonal to one of their lines
# (Delsarte, Goethals & Seidel 1977).
_DESIGNS = np.array([(22, 1408, 3), (23, 2300, 3)])


def _lattices(d: int, mu: float, complex_: bool) -> Members:
    dims = np.arange(2, 25)
    kept = (dims <= d) & (mu * (1.0 + ROUNDING) >= 0.5)
    return _members(
        dims, _LATTICES, kept, lambda at: f"the minimal vectors of a lattice in R^{at + 2}"
    )


def _d_roots(d: int, mu: float, complex_: bool) -> Members:
    dims = np.arange(3, _LARGEST_D_ROOTS + 1)
    kept = (dims <= d) & (mu * (1.0 + ROUNDING) >= 0.5)
    return _members(dims, dims * (dims - 1), kept, lambda at: f"the roots of D_{at + 3}")


def _designs(d: int, mu: float, complex_: bool) -> Members:
    dims, counts, inverse = _DESIGNS.T
    kept = (dims <= d) & (mu * (1.0 + ROUNDING) >= 1.0 / inverse)
    return _members(dims, counts, kept, lambda at: f"a tight design of {counts[at]} lines")


def _fan(d: int, mu: float, complex_: bool) -> Members:
    counts = np.array([math.floor(math.pi / math.acos(mu * (1.0 + ROUNDING)))])
    return _members(np.array([2]), counts, np.array([d >= 2]), lambda at: f"a fan of {counts[0]}")


# Codes and exponential sums


def _powers(d: int, mu: float, table: list[tuple[int, int, str]]) -> Members:
    """Return sets of 2^exponent lines and a basis in 2^m dimensions: (m, exponent, label)."""
    del d, mu
    dims = np.array([1 << m for m, _, _ in table], np.int64)
    logs = np.array([math.log((1 << size) + (1 << m)) for m, size, _ in table], np.float64)
    return Members(
        dims,
        logs,
        lambda at: (1 << table[at][1]) + (1 << table[at][0]),
        lambda at: table[at][2],
    )


def _delsarte_goethals(d: int, mu: float, complex_: bool) -> Members:
    table = []
    for m in range(2, d.bit_length()):
        rank = max(1, math.ceil(-math.log2(mu * (1.0 + ROUNDING))))
        if 2 * rank > m:
            continue
        if m % 2 == 0:
            exponent = m + (m - 1) * (m - 2 * rank + 2) // 2
        else:
            exponent = m + m * (m - 2 * rank + 1) // 2
        best = "Kerdock" if m % 2 == 0 else "Gold"
        name = best if rank == m // 2 else f"Delsarte-Goethals of rank {2 * rank}"
        table.append((m, exponent, f"{name} and identity in R^{1 << m}"))
    return _powers(d, mu, table)


def _dual_bch(d: int, mu: float, complex_: bool) -> Members:
    table = []
    for m in range(2, d.bit_length()):
        order = 1 + math.floor(mu * (1.0 + ROUNDING) * 2.0 ** (m / 2) / 2.0)
        if order >= 2:
            table.append((m, m * order, f"dual BCH of order {order} and identity in R^{1 << m}"))
    return _powers(d, mu, table)


def _weil(d: int, mu: float, complex_: bool) -> Members:
    """All x -> exp(2 pi i f(x) / p), deg f <= r, and a basis; in R^2p all these times i too."""
    real = 1 if complex_ else 2
    p = primes(d // real)
    p = p[p > 2]
    degrees = 1 + np.floor(mu * (1.0 + ROUNDING) * np.sqrt(p)).astype(np.int64)
    p, degrees = p[degrees >= 2], degrees[degrees >= 2]
    log_p: _Floats = np.log(p.astype(np.float64))
    logs = degrees * log_p + np.log1p(np.exp((1 - degrees) * log_p)) + math.log(real)
    where = "C^" if complex_ else "R^"

    def label(at: int) -> str:
        if degrees[at] == 2:
            return f"{p[at] + 1} mutually unbiased bases of C^{p[at]}"
        return f"Weil sums of degree {degrees[at]} over F_{p[at]} in {where}{real * p[at]}"

    return Members(
        real * p, logs, lambda at: real * (int(p[at]) ** int(degrees[at]) + int(p[at])), label
    )


FAMILIES = (
    Family("fan", "lines of a plane", _fan),
    Family("simplex", "Bukh & Cox 2020, of simplices (102 lines in R^100)", _simplices),
    Family("conference", "Paley 1933; van Lint & Seidel 1966", _conference),
    Family("steiner", "Fickus, Mixon & Tremain 2012; McFarland 1973", _steiner),
    Family("equiangular", "Fickus & Mixon 2015, Tables of equiangular tight frames", _single_etfs),
    Family("lattice", "Conway & Sloane, chapters 4 to 6", _lattices),
    Family("roots", "the root systems D_n", _d_roots),
    Family("designs", "Delsarte, Goethals & Seidel 1977", _designs),
    Family("delsarte-goethals", "Kerdock 1972; Delsarte & Goethals 1975", _delsarte_goethals),
    Family("dual-bch", "Carlitz & Uchiyama 1957", _dual_bch),
    Family("weil", "Weil 1948; Wootters & Fields 1989 (degree 2)", _weil),
)


# The best of them


@dataclass(frozen=True)
class Explicit:
    """The most lines that were found.

    Attributes
    ----------
    log_count : float
        Logarithm of how many.
    count : int
        How many.
    label : str
        What they are.
    """

    log_count: float
    count: int
    label: str


def explicit(d: int, mu: float, complex_: bool = False) -> tuple[Explicit, dict[str, float]]:
    """Return the best direct sum of at most two sets and a basis, and each family's best.

    The latter as logarithms, each set with a basis of what it leaves over.  Never fewer for a
    larger d or mu, as then no candidate is lost.
    """
    lists = [family.members(d, mu, complex_) for family in FAMILIES]
    singles = {
        family.name: float(_log_sum(d - part.dims, part.log_counts).max(initial=math.log(d)))
        for family, part in zip(FAMILIES, lists, strict=True)
    }
    every = _joined(*lists)
    places = _best_two(d, every)
    rest = d - sum(int(every.dims[at]) for at in places)
    count = sum(every.count(at) for at in places) + rest
    parts = [every.label(at) for at in places]
    if not parts:
        parts = ["an orthonormal basis"]
    elif rest:
        parts.append(f"{rest} orthogonal to all")
    return Explicit(math.log(count), count, " + ".join(parts)), singles


def _log_sum(rest: _Integers, logs: _Floats) -> _Floats:
    """Return ln(rest + e^logs)."""
    total: _Floats = logs + np.log1p(rest * np.exp(-logs))
    return total


def _best_two(d: int, sets: Members) -> list[int]:
    """Return the sets, at most two, with the largest sum of lines beyond their dimensions.

    The one with more lines first.
    """
    order = np.argsort(sets.dims, kind="stable")
    order = order[sets.log_counts[order] > np.log(sets.dims[order]) + 1e-12]
    if not len(order):
        return []
    dims, logs = sets.dims[order], sets.log_counts[order]
    top = float(logs.max())
    # In whole numbers where float64 has them, else as shares of the largest.
    scale = 0.0 if top < _EXACT else top
    counts = np.exp(logs - scale)
    if scale == 0.0:
        counts = np.array([sets.count(int(at)) for at in order], np.float64)
    excess = counts - dims * math.exp(-scale)
    leader = _leaders(excess)
    partner = np.searchsorted(dims, d - dims, "right") - 1
    beside = np.where(partner >= 0, excess[leader[partner]], 0.0)
    first = int(np.argmax(excess + beside))
    found = [first] if beside[first] == 0.0 else [first, int(leader[partner[first]])]
    return [int(order[at]) for at in sorted(found, key=lambda at: -excess[at])]


def _leaders(values: _Floats) -> _Integers:
    """Return, for each position, where the largest value up to it is."""
    best = np.maximum.accumulate(values)
    fresh = np.concatenate([[True], best[1:] > best[:-1]])
    places: _Integers = np.maximum.accumulate(np.where(fresh, np.arange(len(values)), 0))
    return places


@cache
def _sieve(limit: int) -> _Integers:
    sieve = np.ones(limit + 1, bool)
    sieve[:2] = False
    for p in range(2, math.isqrt(limit) + 1):
        if sieve[p]:
            sieve[p * p :: p] = False
    return np.flatnonzero(sieve)


def primes(limit: int) -> NDArray[np.int64]:
    """Return the primes up to a limit, ascending."""
    found = _sieve(1 << max(4, limit.bit_length()))  # few sieves, whatever is asked
    return found[: int(np.searchsorted(found, limit, "right"))]


def prime_powers(limit: int) -> NDArray[np.int64]:
    """Return the primes and their powers up to a limit, ascending."""
    powers, found = [], primes(limit)
    while len(found):
        powers.append(found)
        bases = primes(limit)[: len(found)]
        found = (found * bases)[found <= limit // bases]
    return np.sort(np.concatenate(powers)) if powers else found
