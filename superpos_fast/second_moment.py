"""Sums of squared cosines over pairs, from the second moment of the unit rows.

With S = sum_j w_j x_j x_j^T over unit rows x_j,

    sum_ij cos^2(i, j) = |S|_F^2          sum_j w_j cos^2(i, j) = x_i^T S x_i

at N d^2 operations instead of N^2 d: one product in registers for S, of which only the triangle is
there, and another for the rows' energies.  Where that is the dearer side, N small against d, the
pairs are gone through in blocks instead, and BLAS multiplies.  Nothing here holds more than a few
blocks of rows and as many columns of S as the memory cap has room for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np

from .native import working_type
from .plan import Demand
from .problem import Problem
from .screening import UNIT_ROUNDOFF_32, UNIT_ROUNDOFF_64, decision_bound
from .vectors import Vectors

Precision = Literal["float32", "float64"]
TYPES: dict[str, tuple[type[np.floating[Any]], float]] = {
    "float32": (np.float32, UNIT_ROUNDOFF_32),
    "float64": (np.float64, UNIT_ROUNDOFF_64),
}

# Rows multiplied at a time, a chain of additions in registers.  At d = 256, 64 to 512 were level
# within 10 % in alternating calls.
_CHUNK = 256
_FEWEST_ROWS = 16
# Chunks added up in working precision, before their sum is added to the others' in float64; half
# as many took 2 % longer at d = 256.
_CHUNKS = 32
# Blocks of rows that there should be, for threads to share, if each is worth so many multiply-adds:
# smaller ones only have threads meet more often.
_BLOCKS, _WORTH = 32, 2**23
# Bytes of rows that are converted at a time.
_READ_BYTES = 2**22
_PAIR_ROWS = 1024
# Bytes a row: its length, the sums, and what becomes of them; the survey's besides.
_STATE_BYTES = 40
_SURVEY_BYTES = 16
# Powers of two that a row's exponent, and hence its factor, may be from 0 and stay within float32.
_PLAIN_EXPONENT = 60
W = TypeVar("W")
_Advance = Callable[[int], None]


def moment_bound(rows: int, depth: int, precision: Precision = "float32") -> float:
    """Bound the error of a mean of squared cosines: of a sum over j, divided by the number of j.

    Parameters
    ----------
    rows : int
        Vectors summed over.
    depth : int
        Entries in a vector.
    precision : {"float32", "float64"}
        The precision of the products.

    Returns
    -------
    float
        gamma_m + (rows / 16 + depth^2 / 1024 + 2 depth + 64) 2^-53 + 4 `decision_bound` +
        depth 2^-100, where gamma_m = m u / (1 - m u), u = 2^-24 or 2^-53 and
        m = max(544, 2 depth) + 28.

    Notes
    -----
    x_i^T S x_i is a sum of terms w_j x_ik x_jk x_jl x_il.  Each passes through 256 roundings while
    a chunk of rows is summed, 32 while chunks are, 256 while S is multiplied by a part of x_i, 4
    for each of the four entries, and 12 more: its product, that with the rest of x_i, three
    additions of those, the rounding of S, and some to spare.  In whatever order that is done it is
    gamma_m of the sum of magnitudes (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd
    ed., section 3.1), which is sum_j w_j (|x_i| . |x_j|)^2 <= sum_j w_j.  Then come the float64
    additions of blocks and of parts, squared lengths and what underflows.  Through pairs it is
    twice a dot product's `depth`, and |S|_F^2, of which each entry is used twice, is off by twice
    the bound.
    """
    unit = TYPES[precision][1]
    chain = max(2 * _CHUNK + _CHUNKS, 2 * depth) + 28
    gamma = chain * unit / (1.0 - chain * unit)
    additions = (rows / _FEWEST_ROWS + depth * depth / 1024 + 2 * depth + 64) * UNIT_ROUNDOFF_64
    return gamma + additions + 4.0 * decision_bound(depth) + depth * 2.0**-100


def demand(rows: int, columns: int) -> Demand:
    """Return what sums over all pairs of so many vectors need of memory."""
    return Demand(state=_STATE_BYTES * max(rows, columns))


def inverse_lengths(squares: Any) -> Any:
    """Return 1 / sqrt of squared lengths, 0 for rows left out."""
    return np.divide(1.0, np.sqrt(squares), out=np.zeros(len(squares)), where=squares > 0.0)


def squares_of(
    problem: Problem,
    precision: str = "float32",
    report: Callable[[int], object] = lambda pairs: None,
) -> Squares:
    """Return what sums squared cosines over a problem's pairs."""
    alone = problem.columns is problem.rows
    count = problem.plan.rows + (0 if alone else problem.plan.columns)
    room = max(problem.memory - (_STATE_BYTES + _SURVEY_BYTES) * count, problem.memory // 8)
    return Squares(problem, alone, room, TYPES[precision][0], report)


@dataclass(frozen=True)
class Squares:
    """Sums of squared cosines of a problem's pairs.

    Attributes
    ----------
    problem : Problem
        What was posed.
    alone : bool
        Whether rows are compared with each other.
    room : int
        Bytes to work in, beside what is kept of each row.
    dtype : type
        What products are computed in.
    report : callable
        Takes numbers of pairs done, all of which are the plan's pairs.
    """

    problem: Problem
    alone: bool
    room: int
    dtype: type[np.floating[Any]]
    report: Callable[[int], object]

    def in_type(self, dtype: type[np.floating[Any]]) -> Squares:
        """Return the same in another precision."""
        return replace(self, dtype=dtype)

    def shown(self, values: Any) -> Any:
        """Return values a row, NaN where it is left out."""
        values[self.problem.rows.squares == 0.0] = np.nan
        return self.problem.lay(values)

    def potential(self) -> float:
        """Sum cos^2 over all ordered pairs of rows, each with itself included."""
        rows = self.problem.rows
        if len(rows) < self.problem.depth:
            return float(rows.kept + self._through_pairs(np.ones(len(rows))).sum())
        panels = self._panels()
        advance = self._advance(len(panels) * len(rows))
        total = 0.0
        for first, last in panels:
            moment = self._moment(first, last)
            total += _square_of(moment, self._summed(rows, None, moment, advance))
        return total

    def mean_square(self) -> float:
        """Average cos^2 over all pairs."""
        n, m = self.problem.rows.kept, self.problem.columns.kept
        if self.alone:
            return max(0.0, self.potential() - n) / (n * (n - 1))
        return float(self.energies().sum()) / (n * m)

    def energies(self, lengths: Any = None) -> Any:
        """Sum lengths_j^2 cos^2(i, j) over j for every row i, without i itself if alone."""
        n, m = self.problem.plan.rows, self.problem.plan.columns
        pairs = n * m * (1 if self.alone else 2)
        if pairs < (n + m) * self.problem.depth:
            weights = np.ones(m) if lengths is None else lengths**2
            return self._through_pairs(weights)
        sums = self._through_moment(lengths)
        if self.alone:
            sums -= 1.0 if lengths is None else lengths**2
        return np.maximum(sums, 0.0, out=sums)

    def _through_pairs(self, weights: Any) -> Any:
        """Sum weights_j cos^2(i, j) over j, without i itself if alone, block by block of pairs."""
        rows, columns = self.problem.rows, self.problem.columns
        n, m, depth = len(rows), len(columns), self.problem.depth
        size = np.dtype(self.dtype).itemsize
        side = min(_PAIR_ROWS, max(16, self.room // (2 * (2 * depth * size + 24 * _PAIR_ROWS))))
        left, right = np.empty((2, min(side, max(n, m)), depth), self.dtype)
        sums = np.zeros(n)
        for i in range(0, n, side):
            some = slice(i, min(i + side, n))
            units = self._units(rows, some, left)
            for j in range(i if self.alone else 0, m, side):
                others = slice(j, min(j + side, m))
                same = self.alone and i == j
                across = units if same else self._units(columns, others, right)
                squares = np.square(units @ across.T, dtype=np.float64)
                if same:
                    np.fill_diagonal(squares, 0.0)
                sums[some] += squares @ weights[others]
                if self.alone and not same:
                    sums[others] += weights[some] @ squares
                self.report(len(units) * (len(units) - 1) // 2 if same else squares.size)
        return sums

    def _through_moment(self, lengths: Any) -> Any:
        """Sum lengths_j^2 cos^2(i, j) over all j as x_i^T S x_i.

        S is symmetric: twice its strips with half of the squares on its diagonal, which is half the
        multiplications.
        """
        rows, columns = self.problem.rows, self.problem.columns
        panels = self._panels()
        advance = self._advance(len(panels) * (len(rows) + len(columns)))
        sums = np.zeros(len(rows))
        for first, last in panels:
            moment = self._moment(first, last)
            # Not held by a name: one panel's is gone when the next one's is made.
            self._multiplied(
                rows, moment, self._triangle(columns, lengths, moment, advance), sums, advance
            )
        sums *= 2.0
        return sums

    def _panels(self) -> list[tuple[int, int]]:
        """Cut S into panels of strips whose sums, each thread's too, fit into half of the room."""
        unit, _ = self.problem.kernels.SecondMoment.shape(self.dtype)
        each = 8 + self.problem.plan.threads * np.dtype(self.dtype).itemsize
        panels, first, size = [], 0, 0
        strips = -(-self.problem.depth // unit)
        for strip in range(strips):
            own = unit * unit * (strip + 1) * each
            if first < strip and size + own > self.room // 2:
                panels.append((first, strip))
                first, size = strip, 0
            size += own
        return [*panels, (first, strips)]

    def _moment(self, first: int, last: int) -> Any:
        """Return the strips first..last, with as many rows at a time as a quarter of the room has.

        Threads share it.
        """
        problem = self.problem
        own = problem.kernels.SecondMoment.row_bytes(problem.depth, self.dtype)
        rows = self.room // (4 * problem.plan.threads * own) // _FEWEST_ROWS * _FEWEST_ROWS
        rows = min(_CHUNK, max(_FEWEST_ROWS, rows))
        return problem.kernels.SecondMoment(problem.depth, first, last, rows, self.dtype)

    def _summed(self, vectors: Vectors, lengths: Any, moment: Any, advance: _Advance) -> Any:
        """Return the strips in float64; blocks of rows are added up in their order."""
        self._rehearse(vectors, energies=False)
        total = np.zeros(moment.size)

        def add(thread: tuple[Any, Any], some: slice) -> None:
            own, sums = thread
            for block, factors, part in self._read(vectors, some, own.rows, lengths):
                own.add(block, factors, sums, part.start == some.start)

        def equip() -> tuple[Any, Any]:
            return copy(moment), np.zeros(moment.size, self.dtype)

        for done in self._rounds(vectors, moment.rows, equip, add):
            for (_, sums), some in done:
                total += sums
                advance(some.stop - some.start)
        return total

    def _triangle(self, vectors: Vectors, lengths: Any, moment: Any, advance: _Advance) -> Any:
        """Return what with its transpose makes the second moment, as rows are multiplied by it."""
        total = self._summed(vectors, lengths, moment, advance)
        for _, square in moment.strips(total):
            square *= 0.5
        return total.astype(self.dtype, copy=False)

    def _multiplied(
        self, vectors: Vectors, moment: Any, triangle: Any, sums: Any, advance: _Advance
    ) -> None:
        """Add the rows' energies in strips of the triangle to the sums."""
        self._rehearse(vectors, energies=True)

        def add(own: Any, some: slice) -> None:
            for block, factors, part in self._read(vectors, some, own.rows):
                own.add_energies(block, factors, triangle, sums[part])

        for done in self._rounds(vectors, moment.rows, lambda: copy(moment), add):
            advance(sum(some.stop - some.start for _, some in done))

    def _rehearse(self, vectors: Vectors, *, energies: bool) -> None:
        with self.problem.starting():
            read = working_type(vectors.dtype)
            self.problem.kernels.SecondMoment.rehearse(read, self.dtype, energies)

    def _rounds(
        self,
        vectors: Vectors,
        chunk: int,
        equip: Callable[[], W],
        work: Callable[[W, slice], None],
    ) -> Iterator[list[tuple[W, slice]]]:
        """Do work on blocks of rows, one on each thread, and yield each round's once it is done.

        Where the blocks begin does not hang on the number of threads, nor does their order.
        """
        count, threads = len(vectors), self.problem.plan.threads
        worth = -(-2 * _WORTH // (self.problem.depth**2 * chunk))
        step = chunk * min(_CHUNKS, max(worth, count // (_BLOCKS * chunk)))
        blocks = [slice(low, min(low + step, count)) for low in range(0, count, step)]
        equipment = [equip() for _ in range(min(threads, len(blocks)))]
        for low in range(0, len(blocks), threads):
            done = list(zip(equipment, blocks[low : low + threads], strict=False))
            self.problem.crew.each(lambda item: work(*item), done)
            yield done

    def _read(
        self, vectors: Vectors, some: slice, chunk: int, lengths: Any = None
    ) -> Iterator[tuple[Any, Any, slice]]:
        """Yield blocks of rows and the factors that make them unit rows, times lengths if any.

        In one piece where rows are read as they lie, else in whole chunks that there is room for.
        """
        line = 24 * self.problem.depth
        if vectors.is_native and np.abs(vectors.exponents[some]).max() <= _PLAIN_EXPONENT:
            line = 0
        room = min(_READ_BYTES, self.room // (8 * self.problem.plan.threads))
        step = max(1, room // (line + 64) // chunk) * chunk
        for low in range(some.start, some.stop, step):
            part = slice(low, min(low + step, some.stop))
            block, factors = self._factored(vectors, part)
            if lengths is not None:
                factors *= lengths[part]
            yield block, factors.astype(np.result_type(block.dtype, self.dtype), copy=False), part

    def _factored(self, vectors: Vectors, some: slice) -> tuple[Any, Any]:
        """Return rows, perhaps padded, and the factors that make them unit rows."""
        block = vectors.read(some.start, some.stop)
        exponents, inverse = vectors.exponents[some], inverse_lengths(vectors.squares[some])
        if np.abs(exponents).max() > _PLAIN_EXPONENT:
            return self.problem.kernels.scale(block, exponents), inverse
        return block, np.ldexp(inverse, -exponents)

    def _units(self, vectors: Vectors, some: slice, buffer: Any) -> Any:
        """Fill the buffer with unit rows, on all threads."""

        def fill(start: int) -> None:
            rows = slice(start, min(start + step, some.stop))
            for block, factors, part in self._read(vectors, rows, 1):
                entries = np.asarray(block)[:, : buffer.shape[1]]
                out = buffer[part.start - some.start : part.stop - some.start]
                np.multiply(entries, factors[:, None], out=out, casting="same_kind")

        step = self.problem.plan.read_rows
        self.problem.crew.each(fill, range(some.start, some.stop, step))
        return buffer[: some.stop - some.start]

    def _advance(self, total: int) -> _Advance:
        """Return a function of steps done of a total, that reports the pairs they stand for."""
        pairs, done = self.problem.plan.pairs, 0

        def advance(steps: int) -> None:
            nonlocal done
            before, done = done, min(done + steps, total)
            self.report(pairs * done // total - pairs * before // total)

        return advance


def _square_of(moment: Any, sums: Any) -> float:
    """Return |S|_F^2 of strips of its triangle."""

    def squares(part: Any) -> float:
        return float(np.einsum("pkl,pkl->k", part, part).sum())

    strips = moment.strips(sums)
    return sum(2.0 * squares(above) + squares(square) for above, square in strips)
