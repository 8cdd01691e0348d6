"""Many machines: stretches of the plan are tasks of a dask cluster, their parts joined as a tree.

A worker opens files or generates rows itself, and looks at a share of them before; what lies in
this process's memory is sent to one worker, from which the others get it.  The tiles are those of
the plan that is made here, for as many threads as a worker has, so that even sums have the bits
that a local run with as many threads gives them.  Stretches of a worker that is lost are done again
by others, which is dask's doing; but with a worker that alone has what was sent dask forgets all
that was to be done with it, and that is sent and done again from here.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, pairwise, zip_longest
from typing import Any, TypeVar

import numpy as np
from distributed import CancelledError, Client, Future, as_completed

from . import worker
from .blocks import Rows, Source
from .ledger import Ledger
from .maps import Mapped
from .plan import Plan
from .problem import Problem
from .progress import Advance
from .reductions import Reduction
from .vectors import Look, Looked

# A worker's next stretch is a third of what is left for it, but no less than a 48th of the whole or
# a third of the longest: first long ones, as each takes some ms of dask's, last short ones, so that
# all end together.  In `bench.scale dask` two workers were 1.77 times as fast as one, with a sixth,
# in turns, 1.70 times; a half was as good as a third, but of a slow worker's share three quarters,
# instead of five ninths, would be under way at once.
_PART, _LEAST = 3, 48
# Multiply-adds that are enough for a stretch: some 10 s of a thread.
_LONG = 5 * 10**11
# Stretches under way for each worker: one more than it works on.
_UNDER_WAY = 2
# A checkpoint may be written when all workers have had so many long stretches.
_ROUND = 4
# Rounds at least.
_ROUNDS = 4
# States that are joined at a time, and their bytes: each task takes some ms of the scheduler's.
_TOGETHER, _JOINED = 16, 2**22
# What was sent may be lost so often before a stretch is done that was not done before.
_LOSSES = 3
# Seconds that workers may take to come back when all are lost: dask, asked to send, waits for two.
_WITHOUT = 60.0

_T = TypeVar("_T")


def current_client() -> Client | None:
    """Return the client of the ``with`` that this thread is in."""
    try:
        return Client.current(allow_global=False)
    except ValueError:
        return None


class Workers:
    """The workers of a dask client, each with as many threads as dask has given it, or `most`."""

    def __init__(self, client: Client, most: int | None) -> None:
        self._client, self._most = client, most
        self._sent: list[tuple[Source, Future]] = []

    def threads(self) -> int:
        """Return how many threads every worker has at least."""
        threads: list[int] = list(self._client.nthreads().values())
        if not threads:
            raise ValueError("backend: must be a client with workers, got one without")
        return min(threads) if self._most is None else min(*threads, self._most)

    def looking(self, sides: Sequence[Source], plan: Plan, backend: str, here: Look) -> Look:
        """Return how rows are looked at: by the workers, what they open or generate, or `here`."""

        def look(source: Source, name: str) -> Looked:
            if not isinstance(source.origin, Rows | Mapped):
                return here(source, name)
            place = next(n for n, side in enumerate(sides) if side is source)
            count, unit = source.shape[0], source.block or plan.read_rows
            step = -(-count // (len(self._workers()) * unit)) * unit
            shares = [range(n, min(n + step, count)) for n in range(0, count, step)]
            how = place, len(sides), plan, backend
            found = self._found(
                lambda: [
                    self._client.submit(
                        worker.survey, self._opened(name, source), *how, share, **_by(whom)
                    )
                    for share, whom in zip(shares, cycle(self._workers()), strict=False)
                ]
            )
            exponents, squares, bad = zip(*found, strict=True)
            first = min((row for row in bad if row is not None), default=None)
            return np.concatenate(exponents), np.concatenate(squares), first

        return look

    def _found(self, begin: Callable[[], list[Future]]) -> list[Any]:
        """Return what begun work finds, which begins again where what it needs is lost."""

        def find() -> list[Any]:
            futures: list[Future] = []
            try:
                futures = begin()
                return list(self._client.gather(futures))
            except CancelledError:
                self._sent.clear()
                raise
            finally:
                self._client.cancel(futures)

        return _despite(find, CancelledError)

    def _scattered(self, data: Any) -> Future:
        """Send it to a worker, from which others get it.

        Not to all at once: dask would do that forever if one of them is lost meanwhile.
        """
        end = time.monotonic() + _WITHOUT
        while True:
            try:
                # A worker may be lost while dask talks to it, or after that and before it is noted.
                return _despite(lambda: self._client.scatter(data, hash=False), OSError, KeyError)
            except TimeoutError:
                if time.monotonic() >= end:
                    raise TimeoutError(
                        "backend: must be a client with workers, "
                        f"got one without for {_WITHOUT:.0f} s"
                    ) from None

    def _workers(self) -> list[str | None]:
        """Return the workers that there are, or None for those that may come."""
        return list(self._client.nthreads()) or [None]

    def _opened(self, name: str, source: Source) -> Future:
        """Send what workers open, once."""
        for known, future in self._sent:
            if known is source:
                return future
        try:
            future = self._scattered(worker.Opened(name, source.origin))
        except TypeError as error:
            reason = error.__cause__ or error
            raise TypeError(
                f"{name}: must be rows that can be sent to the workers, got {reason}"
            ) from None
        self._sent.append((source, future))
        return future

    def reduce(
        self,
        problem: Problem,
        reductions: Sequence[Reduction],
        precision: str,
        striped: bool,
        ledger: Ledger,
        advance: Advance,
    ) -> None:
        """Show the pairs that are not done yet to the reductions, stretch by stretch."""
        kinds = tuple((type(reduction), reduction.parameters) for reduction in reductions)
        question = worker.Question(kinds, precision)
        together = _together(reductions)

        def send() -> _Sent:
            rows = [self._opened(side.name, side.source) for side in problem.vectors]
            return _Sent(self._scattered(_setting(problem)), rows)

        def send_again() -> _Sent:
            self._sent.clear()
            return send()

        sent = send()
        for lanes in self._rounds(problem, ledger, striped):
            tree = _Tree(self._client, question, sent, send_again, lanes, together)
            known = tree.grown(advance)
            sent = tree.sent
            with ledger.passing(tree.done, known.pairs):
                for reduction, state in zip(reductions, known.states, strict=True):
                    reduction.join(state, problem.kernels)
            problem.tally(**{name: known.facts.get(name, 0) for name in worker.COUNTED})
            # One bound holds for all stretches together.
            if "dimensions" in known.facts and "dimensions" not in problem.tallies:
                problem.coded(known.facts["dimensions"], known.facts["failure"])
            if tree.is_stopped:
                ledger.stop()
                return

    def _rounds(self, problem: Problem, ledger: Ledger, striped: bool) -> Iterator[list[_Lane]]:
        """Yield lanes of stretches: one for each worker, so that it stays with some of the rows.

        What may be stopped on the way has one for all, as what is known then has to be about the
        pairs before one place.
        """
        workers, plan = self._workers(), problem.plan
        count = len(workers)
        begin, end = ledger.found.done, ledger.found.end
        longest = max(1, _LONG * plan.threads // problem.depth)
        rounds = 1
        if problem.book.is_kept:
            rounds = max(_ROUNDS, (end - begin) // (_ROUND * longest * count))
        for first, last in plan.cut(_even(begin, end, rounds), striped):
            if callable(problem.progress):
                places = _shrinking(first, last, count, longest)
                yield [_Lane(workers, deque(plan.cut(places, striped)))]
                continue
            shares = pairwise(_even(first, last, count))
            yield [
                _Lane([whom], deque(plan.cut(_shrinking(*share, 1, longest), striped)))
                for whom, share in zip(workers, shares, strict=True)
            ]


def _by(whom: str | None) -> dict[str, Any]:
    """Return how dask is told who should do it: without it would be whoever has what was sent."""
    if whom is None:
        return {"pure": False}
    return {"pure": False, "workers": whom, "allow_other_workers": True}


def _despite(work: Callable[[], _T], *losses: type[Exception]) -> _T:
    """Return what some work gives, which is done again after losses, but not after a timeout."""
    for _ in range(_LOSSES):
        try:
            return work()
        except TimeoutError:
            raise
        except losses:
            pass
    return work()


def _even(begin: int, end: int, count: int) -> list[int]:
    return [begin + (end - begin) * n // count for n in range(count + 1)]


def _shrinking(begin: int, end: int, workers: int, longest: int) -> Iterator[int]:
    """Yield the places between stretches for some workers."""
    least = max(1, min(longest // _PART, (end - begin) // (_LEAST * workers)))
    while begin < end:
        yield begin
        begin += max(least, min(longest, (end - begin) // (_PART * workers)))
    yield end


@dataclass(frozen=True)
class _Sent:
    """What all stretches need."""

    setting: Future
    rows: list[Future]


@dataclass
class _Lane:
    """Stretches for one worker, or for all: how many each of them has, and what they found."""

    workers: list[str | None]
    stretches: deque[tuple[int, int]]
    busy: Counter[str | None] = field(default_factory=Counter)
    found: list[Future] = field(default_factory=list)


@dataclass
class _Stretch:
    """Pairs from one place to another, and whether the caller was told that they are done."""

    begin: int
    end: int
    is_told: bool = False


@dataclass(frozen=True)
class _Batch:
    """What a future is about, and with what it was begun; `whom` a stretch was given to."""

    lane: _Lane
    whom: str | None
    stretches: list[_Stretch]
    sent: _Sent


def _together(reductions: Sequence[Reduction]) -> int:
    """Return how many states to join at a time: two, if an array of theirs has yet to grow."""
    arrays = [array for reduction in reductions for array in reduction.state().values()]
    size: int = sum(array.nbytes for array in arrays)
    grow = any(array.size == 0 for array in arrays)
    return 2 if grow else max(2, min(_TOGETHER, _JOINED // (size + 1)))


def _setting(problem: Problem) -> worker.Setting:
    return worker.Setting(
        tuple(
            worker.Side(side.name, side.source.shape, side.exponents, side.squares)
            for side in problem.vectors
        ),
        problem.plan,
        problem.backend,
        problem.memory,
        problem.screen,
        problem.seed,
        problem.demand,
    )


class _Tree:
    """Stretches under way, and what is found of them joined.

    First of each lane, so many `together`, so that what is found goes from worker to worker only at
    the end: then of two lanes at a time, whatever they have.

    Attributes
    ----------
    sent : _Sent
        What was sent last.
    done : int
        Pairs of the stretches that were gone through.
    is_stopped : bool
        Whether the caller stopped it.
    """

    def __init__(
        self,
        client: Client,
        question: worker.Question,
        sent: _Sent,
        send_again: Callable[[], _Sent],
        lanes: Sequence[_Lane],
        together: int,
    ) -> None:
        self._client, self._question = client, question
        self._lanes, self._together = lanes, together
        self.sent, self._send_again, self._losses = sent, send_again, 0
        self._coming = as_completed(loop=client.loop)
        # Of all that is under way or found.
        self._batches: dict[Future, _Batch] = {}
        self._again: deque[_Stretch] = deque()
        self.done, self.is_stopped = 0, False

    def grown(self, advance: Advance) -> worker.Found:
        """Have all stretches gone through, and return what is known."""
        try:
            while True:
                self._fill()
                for future in self._coming:
                    self._take(future, advance)
                    self._fill()
                ends = [lane for lane in self._lanes if lane.found]
                if len(ends) == len(ends[0].found) == 1:
                    [last] = ends[0].found
                    try:
                        known: worker.Found = last.result()
                        return known
                    except CancelledError:
                        ends[0].found = []
                        self._lost(last)
                for one, other in zip_longest(ends[::2], ends[1::2]):
                    if other is not None:
                        one.found, other.found = one.found + other.found, []
                    if len(one.found) > 1:
                        self._join(one)
        except BaseException:
            self._client.cancel(list(self._batches))
            raise

    def _take(self, future: Future, advance: Advance) -> None:
        status, batch = future.status, self._batches[future]
        if status in ("pending", "lost"):
            # Its worker is lost: it is done again.
            self._coming.add(future)
            return
        if len(batch.stretches) == 1:
            batch.lane.busy[batch.whom] -= 1
        if status == "cancelled":
            self._lost(future)
            return
        if status == "error":
            future.result()
        for stretch in batch.stretches:
            if not stretch.is_told:
                self._losses = 0
                self._tell(stretch, advance)
        batch.lane.found.append(future)
        if len(batch.lane.found) == self._together:
            self._join(batch.lane)

    def _tell(self, stretch: _Stretch, advance: Advance) -> None:
        stretch.is_told, pairs = True, stretch.end - stretch.begin
        self.done += pairs
        if not advance(pairs):
            self.is_stopped = True

    def _lost(self, future: Future) -> None:
        """Note what is to be done again, and send what is lost with it."""
        batch = self._batches.pop(future)
        self._again.extend(batch.stretches)
        if batch.sent is self.sent:
            self._losses += 1
            if self._losses > _LOSSES:
                future.result()
            self.sent = self._send_again()

    def _fill(self) -> None:
        """Give each worker as many stretches as it should have."""
        for lane in self._lanes:
            while True:
                whom = min(lane.workers, key=lane.busy.__getitem__)
                if lane.busy[whom] == _UNDER_WAY or not (stretch := self._next(lane)):
                    break
                lane.busy[whom] += 1
                places = stretch.begin, stretch.end
                self._begin(lane, [stretch], worker.look, *places, *self.sent.rows, whom=whom)

    def _next(self, lane: _Lane) -> _Stretch | None:
        """Return what was lost, the lane's next stretch, or at its end the last of the longest."""
        if self._again:
            return self._again.popleft()
        longest = max(self._lanes, key=lambda other: len(other.stretches)).stretches
        if self.is_stopped or not longest:
            return None
        return _Stretch(*(lane.stretches.popleft() if lane.stretches else longest.pop()))

    def _join(self, lane: _Lane) -> None:
        """Join what a lane has found, but what was lost since then."""
        found, lane.found = lane.found, []
        for part in found:
            if part.status == "cancelled":
                self._lost(part)
            else:
                lane.found.append(part)
        if len(lane.found) > 1:
            parts, lane.found = lane.found, []
            stretches = [stretch for part in parts for stretch in self._batches.pop(part).stretches]
            self._begin(lane, stretches, worker.join, *parts)

    def _begin(
        self,
        lane: _Lane,
        stretches: list[_Stretch],
        work: Any,
        *arguments: Any,
        whom: str | None = None,
    ) -> None:
        known = self.sent.setting, self._question
        future = self._client.submit(work, *known, *arguments, **_by(whom))
        self._batches[future] = _Batch(lane, whom, stretches, self.sent)
        self._coming.add(future)
