"""Threads: a crew that works through a list of items, and stops together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from itertools import chain, islice
from types import TracebackType
from typing import Generic, TypeVar

from .floating import ieee_mode

T = TypeVar("T")
W = TypeVar("W")


class _Shared(Generic[T]):
    """An iterator that several threads may draw from, until it is stopped."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()
        self._stopped = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._lock:
            if self._stopped:
                raise StopIteration
            return next(self._items)

    def stop(self) -> None:
        self._stopped = True


class Crew:
    """The calling thread and up to ``threads - 1`` others, gone at the end of the ``with``.

    The others are started when there are items for them.  A crew of its own for every call: one
    kept by the module would hang after a fork.  If the calling thread `waits`, one more is started
    in its place: then Ctrl-C, which only ever meets the calling one, finds no item half done.
    """

    def __init__(self, threads: int, waits: bool = False) -> None:
        self._threads, self._waits = threads, waits
        self._others: ThreadPoolExecutor | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._others is not None:
            self._others.shutdown()

    def each(self, work: Callable[[T], None], items: Iterable[T]) -> None:
        """Call ``work(item)`` for every item, in any order, on all threads."""
        self.each_with(lambda: None, lambda _, item: work(item), items)

    def each_with(
        self, equip: Callable[[], W], work: Callable[[W, T], None], items: Iterable[T]
    ) -> None:
        """Call ``work(equipment, item)`` for every item; each thread is equipped once.

        The first exception, Ctrl-C included, stops all threads after their current item.
        """
        rest = iter(items)
        first = list(islice(rest, self._threads))
        shared = _Shared(chain(first, rest))

        def share() -> None:
            try:
                with ieee_mode():
                    equipment = equip()
                    for item in shared:
                        work(equipment, item)
            except BaseException:
                shared.stop()
                raise

        helpers: list[Future[None]] = []
        try:
            for _ in first if self._waits else first[1:]:
                if self._others is None:
                    count = self._threads if self._waits else self._threads - 1
                    self._others = ThreadPoolExecutor(count, "superpos_fast")
                helpers.append(self._others.submit(share))
            if self._waits:
                wait(helpers, return_when=FIRST_EXCEPTION)
            else:
                share()
        finally:
            shared.stop()
            wait(helpers)
        for helper in helpers:
            helper.result()
