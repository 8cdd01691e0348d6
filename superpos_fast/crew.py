"""Threads: a crew that works through a list of items, and stops together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, TypeVar

from .floating import ieee_mode

T = TypeVar("T")


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
    """Up to `threads` threads, started when first needed and gone at the end of the ``with``.

    A pool of its own for every call: one kept by the module would hang after a fork.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def each(self, work: Callable[[T], None], items: Iterable[T]) -> None:
        """Call ``work(item)`` for every item, in any order, on all threads.

        The first exception, Ctrl-C included, stops the others after their current item.
        """
        shared = _Shared(items)
        if self._threads == 1:
            _work_through(work, shared)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "superpos_fast")
        futures = [self._pool.submit(_work_through, work, shared) for _ in range(self._threads)]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            if any(future.exception() for future in done):
                shared.stop()
            for future in futures:
                future.result()
        finally:
            shared.stop()
            wait(futures)


def _work_through(work: Callable[[T], None], items: Iterable[T]) -> None:
    with ieee_mode():
        for item in items:
            work(item)
