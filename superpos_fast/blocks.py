"""Rows by blocks: how the engine reads what holds one vector a row, wherever it lies.

An array is sliced where it stands.  What lies in chunks, or is made when it is asked for, comes in
whole blocks; those in use are kept, within a number of bytes that the plan has set aside, and a
thread reads ahead those that will be next.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


class Source(Protocol):
    """Rows of numbers.

    Attributes
    ----------
    shape : (int, int)
        Rows and entries of a row.
    dtype : numpy.dtype
        Type of the numbers.
    block : int
        Rows that come together, whichever of them is wanted; 0 where any row is as near as another.
    """

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def block(self) -> int: ...

    @property
    def origin(self) -> Any:
        """What another process makes the source of: the data, or the file that they lie in."""

    def rows(self, start: int, stop: int) -> Any:
        """Return rows as they came, perhaps a view."""

    def take(self, indices: Any) -> Any:
        """Return a copy of the listed rows."""

    def expect(self, now: Iterable[range], later: Iterable[range]) -> None:
        """Learn which rows are in use, to be kept, and which will be next, to be read ahead.

        What will be next may go backwards.
        """

    def close(self) -> None:
        """Let go of what was kept."""


def row_bytes(source: Source) -> int:
    """Return the size of a row, as it came."""
    return int(source.shape[1] * source.dtype.itemsize)


class NoRows:
    """Rows that are nowhere to be read: all that is asked about them is known."""

    block = 0
    origin = None

    def __init__(self, shape: tuple[int, int], dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype

    def rows(self, start: int, stop: int) -> Any:
        """Refuse."""
        raise ValueError("part: must be of a call that needs no vectors at its end")

    def take(self, indices: Any) -> Any:
        """Refuse."""
        return self.rows(0, 0)

    def expect(self, now: Iterable[range], later: Iterable[range]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Rows:
    """Vectors that are generated a block at a time; see `superpos_fast.rows`.

    Attributes
    ----------
    shape : (int, int)
        Vectors, and entries of each.
    generate : callable
        See `rows`.
    key : str or None
        Names what is generated, in checkpoints.
    block : int
        Vectors of a block.
    """

    shape: tuple[int, int]
    generate: Callable[[int, int], Any] = field(repr=False)
    key: str | None
    block: int

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> Any:
        """Return the vectors of one block, checked for their shape."""
        found = np.asarray(self.generate(start, stop))
        expected = stop - start, self.shape[1]
        if found.shape != expected:
            raise ValueError(
                f"generate: must return shape {expected} for rows {start} to {stop}, "
                f"got shape {found.shape}"
            )
        return found


class _Block:
    """A block's rows, or None while they are being read."""

    def __init__(self, ahead: bool) -> None:
        self.rows: Any = None
        self.readers = 1
        self.ahead = ahead


class BlockRows:
    """Rows that come in whole blocks, each from start = 0, `block`, 2 `block`, ... on.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` returns the rows of one block.
    shape, dtype, block
        See `Source`.
    parallel : bool
        Whether `read` may be called by several threads at once.
    origin : object
        See `Source`.
    key : str or None
        Names the rows, if they have a name.

    Notes
    -----
    There are never more blocks than `keep` has room for, those that are being read included, and no
    thread holds two: whoever needs room has a block that nobody reads at the moment make way,
    rather one that is not in use.
    """

    def __init__(
        self,
        read: Callable[[int, int], Any],
        shape: tuple[int, int],
        dtype: Any,
        block: int,
        parallel: bool,
        origin: Any = None,
        key: str | None = None,
    ) -> None:
        self.origin, self.key = origin, key
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.block = min(block, max(shape[0], 1))
        self._read = read
        self._one_at_a_time = None if parallel else threading.Lock()
        self._change = threading.Condition()
        self._blocks: OrderedDict[int, _Block] = OrderedDict()  # the least recently used first
        self._room = 1
        self._now: list[range] = []
        self._later: Iterator[int] = iter(())
        self._next: int | None = None
        self._asked: set[int] = set()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def block_bytes(self) -> int:
        """Size of a block."""
        return self.block * row_bytes(self)

    def rows(self, start: int, stop: int) -> Any:
        """Return a copy."""
        out = np.empty((stop - start, self.shape[1]), self.dtype)
        for number in range(start // self.block, -(-stop // self.block)):
            first = number * self.block
            low, high = max(start, first), min(stop, first + self.block)
            with self._held(number) as rows:
                out[low - start : high - start] = rows[low - first : high - first]
        return out

    def take(self, indices: Any) -> Any:
        """Return a copy of the listed rows; every block is read once."""
        out = np.empty((len(indices), self.shape[1]), self.dtype)
        numbers = np.asarray(indices) // self.block
        for number in np.unique(numbers).tolist():
            places = np.flatnonzero(numbers == number)
            with self._held(number) as rows:
                out[places] = rows[indices[places] - number * self.block]
        return out

    def keep(self, size: int) -> None:
        """Keep blocks of at most so many bytes, or one."""
        with self._change:
            self._room = max(1, size // max(1, self.block_bytes))

    def expect(self, now: Iterable[range], later: Iterable[range]) -> None:
        """Keep what is in use, and read ahead as much as there is room for of what will be next."""
        with self._change:
            self._now = [self._numbers(rows) for rows in now]
            self._later = (number for rows in later for number in self._numbers(rows))
            self._next = next(self._later, None)
            self._asked.clear()
            if self._next is not None and self._thread is None and self._room > 1:
                self._thread = threading.Thread(target=self._read_ahead, name="superpos_fast read")
                self._thread.start()
            self._change.notify_all()

    def close(self) -> None:
        """Let go of all blocks, and of the thread."""
        self.rest()
        self._blocks.clear()

    def rest(self) -> None:
        """Let go of the thread; blocks stay."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._thread, self._closed = None, False
        self._now, self._later, self._next = [], iter(()), None
        for block in self._blocks.values():
            block.ahead = False

    def _numbers(self, rows: range) -> range:
        if not rows:
            return range(0)
        first, last = rows[0] // self.block, rows[-1] // self.block
        return range(first, last + rows.step, rows.step)

    @contextmanager
    def _held(self, number: int) -> Iterator[Any]:
        """Yield a block that stays as long as the ``with``."""
        block = self._reserved(number)
        try:
            if block.rows is None:
                self._load(number, block)
            yield block.rows
        finally:
            with self._change:
                block.readers -= 1
                self._change.notify_all()

    def _reserved(self, number: int) -> _Block:
        """Return a block for one reader more; without rows if it is this reader who has to load."""
        with self._change:
            self._asked.add(number)
            while True:
                block = self._blocks.get(number)
                if block is None and self._has_room(ahead=False):
                    block = self._blocks[number] = _Block(ahead=False)
                    return block
                if block is not None and block.rows is not None:
                    block.readers += 1
                    block.ahead = False
                    self._blocks.move_to_end(number)
                    return block
                self._change.wait()

    def _has_room(self, ahead: bool) -> bool:
        """Return whether there is room for a block more, or make it: `ahead` not at any price."""
        if len(self._blocks) < self._room:
            return True
        idle = [number for number, block in self._blocks.items() if not block.readers]

        def spare(number: int) -> bool:
            return not self._blocks[number].ahead and not any(number in now for now in self._now)

        gone = next(filter(spare, idle), None)
        if gone is None and idle and not ahead:
            gone = idle[0]
        if gone is None:
            return False
        del self._blocks[gone]
        return True

    def _load(self, number: int, block: _Block) -> None:
        start = number * self.block
        stop = min(start + self.block, self.shape[0])
        try:
            if self._one_at_a_time is None:
                rows = self._read(start, stop)
            else:
                with self._one_at_a_time:
                    rows = self._read(start, stop)
        except BaseException:
            with self._change:
                # Whoever waits for it tries for themselves.
                del self._blocks[number]
            raise
        with self._change:
            block.rows = rows
            self._change.notify_all()

    def _read_ahead(self) -> None:
        while (found := self._reserved_ahead()) is not None:
            number, block = found
            with suppress(Exception):  # it is raised again for whoever needs the block
                self._load(number, block)
            with self._change:
                block.readers -= 1
                self._change.notify_all()

    def _reserved_ahead(self) -> tuple[int, _Block] | None:
        """Return the next block that is not there yet, once there is room; None at the end."""
        with self._change:
            while not self._closed:
                while self._next in self._blocks or self._next in self._asked:
                    self._next = next(self._later, None)
                if self._next is not None and self._has_room(ahead=True):
                    number, self._next = self._next, next(self._later, None)
                    block = self._blocks[number] = _Block(ahead=True)
                    return number, block
                self._change.wait()
            return None
