"""The ledger of a run: which tiles are done, kept in a file if that is asked.

The engine deals tiles in stretches.  At the end of a stretch no tile is in the making, so that what
the reductions know is about exactly the pairs before one place in the order of tiles: all that a
checkpoint, a shard or a stopped run needs to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import chain
from types import TracebackType

from .execution import Checkpoint
from .keeping import Keeper
from .parts import Divided, Interrupted, Part, Pass, asked_of, check_same
from .plan import Plan, Tile
from .protocols import Kernels
from .reductions import Reduction


class Book:
    """The passes of one call.

    Parameters
    ----------
    part : Part
        What the call is about, and what is known already.
    shard : (int, int) or None
        Which share of the pairs to look at.
    checkpoint : Checkpoint or None
        Where to keep it.
    stretch : (int, int) or None
        Or the pairs to look at, in their order.
    known : callable or None
        Gives what is known already, part by part, and then nothing else is looked at.
    """

    def __init__(
        self,
        part: Part,
        shard: tuple[int, int] | None = None,
        checkpoint: Checkpoint | None = None,
        known: Callable[[], Iterator[Part]] | None = None,
        stretch: tuple[int, int] | None = None,
    ) -> None:
        self.part = part
        self._shard, self.known = shard, known
        self._whole = (0, part.total) if stretch is None else stretch
        self._number = 0
        self._keeper = Keeper(checkpoint)
        path = self._keeper.path
        if path is not None and path.exists():
            there = Part.load(path, "checkpoint")
            check_same(part.key, there.key, "checkpoint")
            part.passes, part.numbers = there.passes, there.numbers

    @cached_property
    def heads(self) -> list[Part]:
        """The parts that are known, without what reductions know: their files are read once."""
        parts = iter(()) if self.known is None else self.known()
        return [
            replace(part, passes=[replace(one, states=[]) for one in part.passes], kept=[])
            for part in parts
        ]

    def number(self, name: str, find: Callable[[], float]) -> float:
        """Return what is known under a name, or find it out; it is kept with the passes.

        Of parts it is what the first in the order of pairs knows: another machine's last bits may
        differ.
        """
        if self.known is not None:
            first = min(self.heads, key=lambda part: part.passes[0].begin)
            return first.numbers[name]
        if name not in self.part.numbers:
            self.part.numbers[name] = find()
        return self.part.numbers[name]

    def turn(
        self,
        plan: Plan,
        kept: Callable[[Tile], int],
        reductions: Sequence[Reduction],
        precision: str,
        striped: bool,
        kernels: Kernels,
    ) -> Ledger:
        """Turn to the next pass: return its ledger, with what is known told to the reductions.

        `kept` counts the pairs of a tile without rows that are left out.
        """
        passes, asked = self.part.passes, asked_of(reductions, precision)
        number, self._number = self._number, self._number + 1
        if number == len(passes):
            passes.append(Pass(asked, *self._stretch(plan, striped)))
        for part in [self.part] if self.known is None else self.known():
            found = part.passes[number]
            if found.asked != asked:
                raise ValueError("checkpoint: must be of the same question, got one of another")
            for reduction, state in zip(reductions, found.states, strict=False):
                reduction.join(state, kernels)
        if not passes[number].is_done:
            passes[number].states = []
        return Ledger(self, passes[number], reductions, plan.triangle, kept)

    def _stretch(self, plan: Plan, striped: bool) -> tuple[int, int, int]:
        if self._shard is None:
            begin, end = self._whole
            return begin, begin, end
        share, shares = self._shard
        begin, end = (
            plan.border(number * self.part.total // shares, striped)
            for number in (share, share + 1)
        )
        return begin, begin, end

    def unused(self) -> None:
        """Refuse to keep what needs no pass over the pairs."""
        if self.is_kept:
            name = "shard" if self._keeper.path is None else "checkpoint"
            raise ValueError(f"{name}: must be left out of what needs no pair loop, got one")

    @property
    def is_kept(self) -> bool:
        """Whether what is known is needed after the pass that finds it."""
        return self._keeper.path is not None or self._shard is not None

    @property
    def is_due(self) -> bool:
        """Whether it is time to write."""
        return self._keeper.is_due

    def save(self) -> None:
        """Write what is known."""
        self._keeper.save(self.part.save)

    def close(self) -> None:
        """Say at the end if what was found last is nowhere written."""
        self._keeper.close()

    def check(self, found: Pass) -> None:
        """Raise what tells that there is no answer: the run was stopped, or is of a shard."""
        if self.known is not None:
            return
        if not found.is_done:
            raise Interrupted(self.part)
        if self._shard is not None:
            raise Divided


class Ledger:
    """How far one pass is.  Used by the engine in a ``with``, at whose end all is written.

    Attributes
    ----------
    found : Pass
        The stretch.
    is_done : bool
        Whether there is nothing to look at.
    """

    def __init__(
        self,
        book: Book,
        found: Pass,
        reductions: Sequence[Reduction],
        triangle: bool,
        kept: Callable[[Tile], int],
    ) -> None:
        self._book, self.found, self._reductions = book, found, reductions
        self._triangle, self._kept_pairs = triangle, kept
        self.is_done = book.known is not None or found.is_done
        self._dealt = self._done = self._kept = 0
        self._stopped = False

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An exception may leave tiles half done, and then what reductions know is about no stretch.
        # A share without pairs is written too: whoever merges has to find it.
        is_empty = self._book.known is None and self.found.begin == self.found.end
        if (not self.is_done or is_empty) and self._dealt == self._done:
            self._settle()
            self._write()
        if kind is None:
            self._book.check(self.found)

    def stretches(self, tiles: Iterator[Tile]) -> Iterator[Iterator[Tile]]:
        """Yield tiles, a stretch at a time; each is to be gone through before the next one."""
        for first in tiles:
            yield self._deal(chain([first], tiles))
            self._settle()
            if self._stopped:
                return
            if self._book.is_due:
                self._write()

    def _deal(self, tiles: Iterator[Tile]) -> Iterator[Tile]:
        for tile in tiles:
            self._dealt += tile.pairs(self._triangle)
            yield tile
            if self._stopped or self._book.is_due:
                return

    def finish(self, tile: Tile) -> None:
        """Note that a tile is done; by one thread at a time."""
        self._done += tile.pairs(self._triangle)
        self._kept += self._kept_pairs(tile)

    @contextmanager
    def passing(self, pairs: int, kept: int) -> Iterator[None]:
        """Have the reductions told of the next so many pairs, `kept` of them not left out.

        What is interrupted meanwhile is written nowhere, as some reduction may know of them.
        """
        self._dealt = pairs
        yield
        self._done, self._kept = pairs, kept
        self._settle()
        if self._book.is_due:
            self._write()

    def stop(self) -> None:
        """Have no tile begun any more."""
        self._stopped = True

    @property
    def is_stopped(self) -> bool:
        """Whether no tile is to be begun any more."""
        return self._stopped

    def _settle(self) -> None:
        assert self._dealt == self._done
        self.found.done += self._done
        self.found.pairs += self._kept
        self._dealt = self._done = self._kept = 0

    def _write(self) -> None:
        if self._book.is_kept or self._stopped:
            self.found.states = [reduction.state() for reduction in self._reductions]
        self._book.save()
