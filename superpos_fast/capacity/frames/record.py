"""The record of a frame: its rows made on demand, and what is known of its cosines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from ...blocks import Rows
from ...generated import rows as generated_rows
from ...vectors import check_count

_BLOCK_BYTES = 2**24


@dataclass(frozen=True, eq=False)
class Frame:
    """A set of n lines in d dimensions whose cosines are known.

    NumPy reads it as the array of its rows, and so does every function of this package.

    Attributes
    ----------
    name : str
        What it is called.
    n, d : int
        Lines, dimensions.
    coherence : float
        The largest |cos|; or, where `exact` is False, no less than it.
    exact : bool
        Whether `coherence` is attained.
    """

    name: str
    n: int
    d: int
    coherence: float
    _block: Callable[[int, int], NDArray[Any]] = field(repr=False)
    _counts: Callable[[], dict[float, int] | None] = field(repr=False)
    exact: bool = True

    @cached_property
    def cosines(self) -> dict[float, int] | None:
        """How many unordered pairs have each |cos|, ascending; None where that is not known.

        A |cos| that no float64 holds is the nearest one, from which the computed cosines of rows
        with irrational entries may differ in the last places.
        """
        counts = self._counts()
        return None if counts is None else dict(sorted(counts.items()))

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return self.n, self.d

    def __len__(self) -> int:
        return self.n

    def rows(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return rows from `start` on, before `stop` (default: all), made anew.

        Integers where they can be (rows need not be of length 1), else float64.

        Raises
        ------
        TypeError, ValueError
            If these are no rows of the frame.

        Examples
        --------
        >>> from superpos_fast.capacity import frames
        >>> frames.kerdock(4).rows(136, 138).tolist()[0]
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        """
        begin = check_count(start, "start", 0, self.n)
        end = self.n if stop is None else check_count(stop, "stop", begin, self.n)
        return self._block(begin, end)

    def blocks(self, size: int | None = None) -> Iterator[NDArray[Any]]:
        """Yield all rows, `size` at a time (default: some 16 MiB as float64)."""
        step = (
            max(1, _BLOCK_BYTES // (8 * self.d)) if size is None else check_count(size, "size", 1)
        )
        for start in range(0, self.n, step):
            yield self._block(start, min(start + step, self.n))

    def source(self, block: int = 4096) -> Rows:
        """Return the rows to be generated when they are read, `block` at a time, stored nowhere.

        As of `superpos_fast.rows`, for any function of this package.

        Examples
        --------
        >>> import superpos_fast
        >>> from superpos_fast.capacity import frames
        >>> superpos_fast.count(frames.kerdock(6).source(), cosine=0.125)
        2162688
        """
        return generated_rows(self.n, self.d, self._block, key=self.name, block=block)

    def array(self) -> NDArray[Any]:
        """Return all rows, shape (n, d)."""
        return self._block(0, self.n)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(f"copy: must not be False, as the rows of {self.name} are made anew")
        return self.array().astype(dtype, copy=False)


def known(counts: dict[float, int]) -> Callable[[], dict[float, int] | None]:
    """Return a function that returns the counts, without those that are 0."""
    return lambda: {value: count for value, count in counts.items() if count}


def of_table(name: str, table: NDArray[Any], counts: dict[float, int]) -> Frame:
    """Return the frame whose rows are a table's."""
    n, d = table.shape
    return Frame(name, n, d, max(counts), lambda i, j: table[i:j].copy(), known(counts))
