"""Lists of the best pairs, which are the host's: many at once, by several of its threads.

One thread is far slower to let pairs into lists than a device is to find them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from .. import reference

# Threads at most, and entries up to which one more is not worth while: the ten nearest of
# 65536 x 64 in `bench.device` took .122 s with one thread (H200), .074 with these, .093 with 2^16
# entries.
_THREADS, _ENTRIES = min(8, os.cpu_count() or 1), 2**14


class Hosts:
    """The host's threads, from the first use of several until `close`."""

    def __init__(self) -> None:
        self._others: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End the threads."""
        if self._others is not None:
            self._others.shutdown()
            self._others = None

    def keep_best(
        self, groups: Any, keys: Any, cosines: Any, magnitude: bool, best: Any, best_keys: Any
    ) -> None:
        """Let each pair into its group's list, in place: k best cosines and keys (-1: empty)."""
        entry, parts = _entry(), self._parts(len(best), len(cosines))
        if entry is reference or parts == 1:
            entry.keep_best(groups, keys, cosines, magnitude, best, best_keys)
            return
        sign = -1.0 if magnitude else 1.0

        def keep(first: int, end: int) -> None:
            entry.lists.keep_best(groups, keys, cosines, sign, first, end, best, best_keys)

        self._share(keep, len(best), parts)

    def sort_lists(self, best: Any, best_keys: Any, magnitude: bool) -> None:
        """Sort lists in place, the best first and empty slots last."""
        entry, parts = _entry(), self._parts(len(best), best.size)

        def sort(first: int, end: int) -> None:
            entry.sort_lists(best[first:end], best_keys[first:end], magnitude)

        self._share(sort, len(best), parts)

    @staticmethod
    def _parts(lists: int, entries: int) -> int:
        return max(1, min(_THREADS, entries // _ENTRIES, lists))

    def _share(self, work: Callable[[int, int], None], lists: int, parts: int) -> None:
        """Call ``work(first, end)`` for some lists at a time, all at once."""
        if parts == 1:
            work(0, lists)
            return
        if self._others is None:
            self._others = ThreadPoolExecutor(_THREADS, "superpos_fast lists")
        cuts = [lists * part // parts for part in range(parts + 1)]
        list(self._others.map(work, cuts[:-1], cuts[1:]))  # raises what a thread has raised


@cache
def _entry() -> Any:
    """Return what keeps lists: compiled, unless Numba is switched off."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return reference
    from ..cpu import entry

    return entry
