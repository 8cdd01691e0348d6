"""How rows are coded for the int8 screen, and whether it pays: chosen by a sample of the data.

Real dictionaries lie close to a few directions.  With Q of orthonormal rows and r_x the length of
what Q x leaves of a unit row x,

    |<x, y>| <= |<Q x, Q y>| + r_x r_y

so that a few products of codes rule most pairs out; for random directions it is all the entries, or
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from .problem import Problem
from .protocols import Coder, Screens, Side
from .reductions import Selective
from .screening import UNIT_ROUNDOFF_32, code_constant, half_constant, hoeffding_deviations
from .vectors import Vectors

# The probability that a call's answer is wrong.
FAILURE = 1e-12

# A sample of rows against a sample of columns: at most, and at most one in so many of what there
# is, so that it costs a few percent of what it may save.
_SAMPLE_ROWS, _SAMPLE_COLUMNS, _SAMPLE_SHARE = 48, 1024, 32
# Blocks, here and there, that a sample is drawn from where rows come in blocks: from anywhere it
# had each block read anew.
_SAMPLE_BLOCKS = 8
# So many rows of each side are looked at before: where so large a share of their pairs reaches any
# gate that may come, as of equal rows, codes save a quarter at most, and cost more.  Without this a
# sample slowed the coherence of 8192 x 384 equal rows by 5 % (`python -m bench.screens --adverse
# 8192 384`, by round); where each row has gates of its own calls take several times as long.
_GLANCE, _BEYOND = 24, 0.75
# Columns of the sample that leading directions are taken from, and for how many of those.
_LEADING_ROWS = 256
_DIRECTIONS = (128, 96, 64, 48, 32, 16)
# The value to beat begins with pairs of the sample: the closest of so many rows, and in a triangle
# the closest of those.
_CLOSE_PAIRS, _STEPS = 10, 3
# What a sample says is averaged over so many ranges of rows and of columns.
_SAMPLE_TILES = 16
# Directions are tried where the sample's mean square cosine is so many times that of random ones,
# and finding them, some 20 ms, is little: from 0.2 s of float32 multiply-adds on.  MiniLM's token
# embeddings have 3.4 (`rms_cosine`), and more by some samples: with 4 here the seed decided whether
# directions were tried.
_CONCENTRATED, _PROJECTED_WORK = 2.0, 2 * 10**10

# What things cost, in float32 multiply-adds: a pair of codes beside its entries; a listed pair,
# beside so many for each of its entries; an entry coded or packed for one side.  A listed pair took
# 13,000, 14,000, 20,600 and 26,900 at d = 64, 128, 384 and 768: `python -m bench.screens --costs`.
_PAIR_COST, _LISTED_COST, _LISTED_ENTRY_COST, _CODING_COST = 8.0, 12000.0, 20.0, 100.0
# Codes are taken where they promise to cost at most so much of what float32 does.  With .9 the ten
# nearest of 8192 x 384 random rows took as long as without, or longer.
_WORTHWHILE = 0.84

# Of each side's draws (see the kernels' `pack_codes`), of 2^32 stretches: a stretch a row.
_SIDE = 2**31


@dataclass(frozen=True)
class Coding:
    """How rows are coded.

    Attributes
    ----------
    coder : Coder
        What makes the codes.
    dimensions : int
        Entries that are coded: those of the vectors, or of their projections.
    deviations : float or None
        Steps of rounding that its projection on a fixed direction is off by at most, for all pairs
        at once but for the probability `failure`; None for rounding to nearest, where the lengths
        of errors bound it for certain.
    failure : float
        Bound on the probability that any pair's cosine exceeds its bound.
    constant : float
        What else a cosine may exceed its bound by.
    seed : int
        Of what rounding draws.
    directions : packed rows, or None
        What rows are multiplied by first, a matrix of norm 1 at most.
    offness : float
        Bound on the error of such products' lengths.
    """

    coder: Coder
    dimensions: int
    deviations: float | None
    failure: float
    constant: float
    seed: int
    directions: Any = None
    offness: float = 0.0

    def stream(self, columns: bool) -> int | None:
        """Return the first stretch of draws of one side; None if nothing is drawn."""
        if self.deviations is None:
            return None
        return (self.seed * 0x9E3779B1 + columns * _SIDE) % 2**32

    def slacks(self, tops: Iterable[Any]) -> list[Any]:
        """Return about how far off each side's codes may be, by the rows' largest entries."""
        deviations = sqrt(self.dimensions / 12.0) if self.deviations is None else self.deviations
        return [
            top / level * deviations for top, level in zip(tops, self.coder.levels, strict=True)
        ]

    def along(self, screens: Screens, directions: Any) -> Coding:
        """Return the same coding of products with some orthonormal rows.

        These are divided so that their norm is at most 1 whatever they are off by: rounded to
        float32 after that, the matrix is off by sqrt(rows) 2^-24 at most.  A product with one is
        off by gamma_m, m the longest chain of its roundings, and all by sqrt(rows) of that.
        """
        count, depth = directions.shape
        narrow = directions.astype(np.float32)
        wide = narrow.astype(np.float64)
        off = float(np.linalg.norm(wide @ wide.T - np.eye(count)))
        narrow *= np.float32((1.0 - sqrt(count) * 2.0**-22) / sqrt(1.0 + off))
        chain = screens.chain(depth) * UNIT_ROUNDOFF_32
        offness = sqrt(count) * (chain / (1.0 - chain) * (1.0 + 2.0**-10) + depth * 2.0**-126)
        return replace(
            self,
            dimensions=count,
            constant=self.constant + 2.0 * offness + offness**2,
            directions=screens.packed(narrow, np.zeros(count, np.int32), np.ones(count)),
            offness=offness,
        )

    def project(self, screens: Screens, rows: Side) -> tuple[Any, Any]:
        """Return unit rows' products with the directions, and lengths of what these leave."""
        entries, sums = screens.projected(self.directions, *rows)
        inside = np.maximum(np.sqrt(sums) - self.offness, 0.0)
        left = np.sqrt(np.maximum(1.0 + 2.0**-20 - inside**2, 0.0))
        return np.ascontiguousarray(entries), left


class Choice(NamedTuple):
    """How to code the rows; rows and columns of some pairs that a sample tells to be close."""

    coding: Coding
    close: tuple[Any, Any]


def choose_coding(
    problem: Problem, screens: Screens, reduction: Selective, striped: bool
) -> Choice | None:
    """Return how to code the rows for what is asked, or None if that does not pay.

    `striped` is how tiles will be ordered.
    """
    if screens.coder is None or not problem.plan.codes:
        return None
    if not screens.coder.draws:
        return _halves(problem, screens.coder)
    certain = problem.screen == "deterministic"
    coding = Coding(
        screens.coder,
        dimensions=problem.depth,
        deviations=None if certain else hoeffding_deviations(problem.plan.pairs, FAILURE),
        failure=0.0 if certain else FAILURE,
        constant=code_constant(problem.depth, problem.depth),
        seed=problem.seed,
    )
    random = np.random.default_rng(problem.seed)
    if not reduction.of_each and _is_hopeless(problem, reduction, coding, random):
        return None
    sample = _Sample(problem, screens, reduction, striped, random)
    cost, best = _WORTHWHILE * float(sample.uncoded.mean()), None
    for candidate in sample.candidates(coding):
        promised = sample.cost(candidate, cost)
        if promised > 2.0 * cost:
            break
        if promised < cost:
            cost, best = promised, candidate
    if best is None:
        return None
    problem.coded(best.dimensions, best.failure)
    return Choice(best, sample.close_pairs())


def _is_hopeless(problem: Problem, reduction: Selective, coding: Coding, random: Any) -> bool:
    """Return whether most pairs of a few rows reach the highest gates that there may be."""
    most = max(2, min(_GLANCE, problem.memory // (64 * problem.depth)))
    drawn = [_drawn(vectors, most, random) for vectors in problem.vectors]
    sides = [
        _unit_rows(*vectors.copies(some))
        for vectors, some in zip(problem.vectors, drawn, strict=True)
    ]
    cosines = sides[0] @ sides[-1].T
    tops = (np.abs(side).max(axis=1) for side in (sides[0], sides[-1]))
    rows, columns = coding.slacks(tops)
    strengths = np.abs(cosines) if reduction.magnitude else cosines
    gates = reduction.likely_gates(np.ones_like(cosines), problem.plan.columns)[:, None]
    reached = strengths + rows[:, None] + columns >= gates
    pairs = ~np.eye(len(cosines), dtype=bool) if problem.plan.triangle else np.ones_like(reached)
    return bool(reached[pairs].sum() > _BEYOND * pairs.sum())


def _drawn(vectors: Vectors, most: int, random: Any) -> Any:
    """Return some of the rows that are not left out."""
    kept = vectors.kept
    count = max(1, min(most, kept // _SAMPLE_SHARE))
    block = vectors.source.block
    if 0 < _SAMPLE_BLOCKS * block < len(vectors):
        blocks = -(-len(vectors) // block)
        chosen, place = np.divmod(random.integers(0, _SAMPLE_BLOCKS * block, count), block)
        drawn = chosen * blocks // _SAMPLE_BLOCKS * block + place
        drawn = drawn[drawn < len(vectors)]
        drawn = np.unique(drawn[vectors.squares[drawn] > 0.0])
        if 2 * len(drawn) >= count:
            return drawn
    drawn = np.unique(random.integers(0, kept, count))
    return drawn if kept == len(vectors) else np.flatnonzero(vectors.squares)[drawn]


def _unit_rows(block: Any, exponents: Any, squares: Any) -> Any:
    """Return rows as float64 unit vectors."""
    scaled = np.ldexp(block.astype(np.float64), -exponents[:, None])
    return scaled / np.sqrt(squares[:, None])


def _cosines(count: int) -> Any:
    """Return the matrix of a discrete cosine transform (the second), whose rows are orthonormal."""
    k = np.arange(count)
    matrix = np.cos(np.pi / count * np.outer(k, k + 0.5)) * sqrt(2.0 / count)
    matrix[0] *= sqrt(0.5)
    return matrix


def _leading_directions(rows: Any, most: int) -> Any:
    """Return up to so many orthonormal directions that hold most of some rows, most of all first.

    The right singular vectors, from the eigenvectors of the rows' products.
    """
    squares, vectors = np.linalg.eigh(rows @ rows.T)
    squares, vectors = squares[::-1][:most], vectors[:, ::-1][:, :most]
    there = squares > 1e-10 * squares[0]
    return (vectors[:, there] / np.sqrt(squares[there])).T @ rows


def _halves(problem: Problem, coder: Coder) -> Choice | None:
    """Return how to round rows to float16, at a fraction of what float32 costs whatever they are.

    None where only bounds are wanted that rest on no model of the machine.
    """
    if problem.screen == "deterministic":
        return None
    problem.coded(problem.depth, 0.0)
    constant, nothing = half_constant(problem.depth), np.empty(0, np.int64)
    coding = Coding(coder, problem.depth, None, 0.0, constant, problem.seed)
    return Choice(coding, (nothing, nothing))


class _Side:
    """Unit rows of one side of the sample: packed, and what of them is looked at entry by entry."""

    def __init__(self, screens: Screens, vectors: Vectors, rows: Any) -> None:
        self.rows = self._block, self._exponents, self._squares = vectors.copies(rows)
        self._screens, self.packed = screens, screens.packed(*self.rows)

    @cached_property
    def tops(self) -> Any:
        """The largest magnitude among each row's entries."""
        largest = np.abs(self._block).max(axis=1).astype(np.float64)
        return np.ldexp(largest, -self._exponents) / np.sqrt(self._squares)

    def some(self, places: Any) -> Any:
        """Return some of the rows, packed."""
        rows = self._block[places], self._exponents[places], self._squares[places]
        return self._screens.packed(*rows)

    def units(self, step: int) -> Any:
        """Return every so many of the rows as float64 unit vectors."""
        return _unit_rows(*(part[::step] for part in self.rows))


class _Sample:
    """Some rows of both sides, and what is asked about them."""

    def __init__(
        self,
        problem: Problem,
        screens: Screens,
        reduction: Selective,
        striped: bool,
        random: Any,
    ) -> None:
        self._screens, self._depth, self._random = screens, problem.depth, random
        self._magnitude = reduction.magnitude
        self._work = problem.plan.pairs * problem.depth
        # Before anything is packed: rows as they are read and packed, with their cosines.
        most = problem.memory // (4 * (16 * problem.depth + 16 * _SAMPLE_ROWS))
        columns = _drawn(problem.columns, min(_SAMPLE_COLUMNS, most), random)
        if problem.columns is problem.rows:
            rows = columns[:: -(-len(columns) // max(1, min(_SAMPLE_ROWS, most)))]
        else:
            rows = _drawn(problem.rows, min(_SAMPLE_ROWS, most), random)
        self._sides = [
            _Side(screens, vectors, some)
            for vectors, some in ((problem.rows, rows), (problem.columns, columns))
        ]
        self._triangle, self._places = problem.plan.triangle, (rows, columns)
        self._pairs = self._are_pairs(rows)
        self._cosines = screens.products(*(side.packed for side in self._sides))
        strengths = np.where(self._pairs, self._strength(self._cosines), -np.inf)
        plan, ordered = problem.plan, -np.sort(-strengths, axis=1)
        self._turns = []
        for share, met, room in plan.meetings(striped):
            gates = reduction.likely_gates(ordered, met)
            gates = self._beside(gates) if reduction.of_columns else gates[:, None]
            self._turns.append((share, gates, room))
        # A float32 tile lists what is among the best at its end.
        self._share = reduction.likely_share(plan.columns / plan.tile_columns)
        # Rows to be packed for each pair.
        self._lines = (plan.rows + plan.columns) / plan.pairs

    def _beside(self, gates: Any) -> Any:
        """Return what a pair must reach to matter to its row or its column.

        Gates of columns are thought to be those of the rows thereabouts.
        """
        width = len(self._places[1])
        columns = gates[np.arange(width) * len(gates) // width]
        return np.minimum(gates[:, None], columns)

    def _are_pairs(self, rows: Any) -> Any:
        """Return which of these rows make a pair with which columns."""
        if self._triangle:
            return rows[:, None] != self._places[1]
        return np.ones((len(rows), len(self._places[1])), bool)

    def close_pairs(self) -> tuple[Any, Any]:
        """Return rows and columns of some close pairs: the closest of each row, and so on."""
        rows, columns = self._places
        cosines, found = self._cosines, []
        for _ in range(_STEPS if self._triangle else 1):
            strengths = np.where(self._are_pairs(rows), self._strength(cosines), -np.inf)
            closest, strongest = strengths.argmax(axis=1), strengths.max(axis=1)
            best = np.argsort(-strongest)[:_CLOSE_PAIRS]
            best = best[np.isfinite(strongest[best])]
            found.append((rows[best], columns[closest[best]]))
            rows = columns[closest[best]]
            cosines = self._screens.products(
                self._sides[1].some(closest[best]), self._sides[1].packed
            )
        i, j = (np.concatenate(side) for side in zip(*found, strict=True))
        return (np.minimum(i, j), np.maximum(i, j)) if self._triangle else (i, j)

    def _strength(self, cosines: Any) -> Any:
        return np.abs(cosines) if self._magnitude else cosines

    def candidates(self, coding: Coding) -> Iterator[Coding]:
        """Yield codings worth a thought: of all entries, and along fewer and fewer directions."""
        if not self._pairs.any():  # a row and itself tell nothing
            return
        yield coding
        mean_square = float(np.square(self._cosines[self._pairs]).mean())
        if mean_square * self._depth < _CONCENTRATED or self._work < _PROJECTED_WORK:
            return
        step = max(1, len(self._pairs[0]) // _LEADING_ROWS)
        leading = self._sides[1].units(step)
        counts = [count for count in _DIRECTIONS if 2 * count <= min(self._depth, len(leading))]
        if not counts:
            return
        directions = _leading_directions(leading, counts[0])
        for count in sorted({min(count, len(directions)) for count in counts}, reverse=True):
            # Signs at random and a cosine transform, so that no direction has much longer entries
            # than others.
            signs = self._random.choice([-1.0, 1.0], count)
            turn = _cosines(count) * signs
            yield coding.along(self._screens, turn @ directions[:count])

    def cost(self, coding: Coding, most: float) -> float:
        """Return what a pair costs, in float32 multiply-adds; less than it does if over `most`."""
        count = coding.dimensions
        codes = _PAIR_COST + coding.coder.cost * count + _CODING_COST * count * self._lines
        if coding.directions is not None:
            codes += self._depth * count * self._lines
        # What reaches its gate is listed whatever the bounds are.
        least = codes + float(self.uncoded.mean()) - self._product
        if least >= most:
            return least
        # A tile of which more is left open goes to float32 instead.
        bounds, packing = self._bounds(coding), 0.0
        for share, gates, room in self._turns:
            if codes > 2.0 * most:
                break
            shares = self._shares(bounds, gates)
            fit = shares <= room
            costs = np.where(fit, self._listed_cost * shares, self.uncoded - self._packing)
            codes += share * float(costs.mean())
            packing = max(packing, 0.0 if fit.all() else self._packing)
        return codes + packing

    @cached_property
    def uncoded(self) -> Any:
        """What a pair costs uncoded, in each of some tiles or all, by what that lists."""
        shares: Any = self._share
        if shares is None:
            shares = self._shares(self._strength(self._cosines), self._turns[-1][1])
        return np.asarray(self._product + self._listed_cost * shares)

    @property
    def _product(self) -> float:
        """What a pair's product costs uncoded, with the packing for it."""
        return float(self._screens.cost(self._depth)) + self._packing

    @property
    def _packing(self) -> float:
        """What it costs a pair that rows are packed uncoded."""
        return _CODING_COST * self._depth * self._lines

    @property
    def _listed_cost(self) -> float:
        return _LISTED_COST + _LISTED_ENTRY_COST * self._depth

    def _bounds(self, coding: Coding) -> Any:
        """Return what the sample's cosines are bounded by in these codes."""
        values, beyond = self._cosines, 0.0
        tops = [side.tops for side in self._sides]
        if coding.directions is not None:
            projected = [coding.project(self._screens, side.rows) for side in self._sides]
            tops = [np.abs(entries).max(axis=1) for entries, _ in projected]
            values = self._screens.products(*(self._as_they_are(part[0]) for part in projected))
            beyond = np.multiply.outer(projected[0][1], projected[1][1])
        rows, columns = coding.slacks(tops)
        return self._strength(values) + rows[:, None] + columns + coding.constant + beyond

    def _shares(self, bounds: Any, gates: Any) -> Any:
        """Return the shares of pairs, in each of some tiles, that these leave open."""
        open_pairs = (bounds >= gates) & self._pairs
        for axis in (1, 0):  # the longer lines first
            length = open_pairs.shape[axis]
            cuts = np.unique(np.arange(_SAMPLE_TILES) * length // _SAMPLE_TILES)
            sizes = np.diff(cuts, append=length)
            sums = np.add.reduceat(open_pairs, cuts, axis=axis, dtype=np.float64)
            open_pairs = sums / np.expand_dims(sizes, 1 - axis)
        return open_pairs

    def _as_they_are(self, entries: Any) -> Any:
        count = len(entries)
        return self._screens.packed(entries, np.zeros(count, np.int32), np.ones(count))
