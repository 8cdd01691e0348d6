"""Progress: a bar on the terminal or in the notebook, or a function of the caller's."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from .execution import Progress

# Called with a number of pairs done, one thread at a time; returns whether to go on.
Advance = Callable[[int], bool]


@contextlib.contextmanager
def reporting(
    progress: Progress, total: int, depth: int = 0, done: int = 0, unit: str = "pair"
) -> Iterator[Advance]:
    """Yield the function to call with each number of pairs done, beside those `done` before.

    With a `depth` a pair stands for so many multiply-adds; another `unit` than pairs is named.
    """
    if progress is False:
        yield lambda pairs: True
    elif progress is True:
        with _bar(total, depth, done, unit) as advance:
            yield advance
    else:

        def advance(pairs: int) -> bool:
            nonlocal done
            done += pairs
            return progress(done, total) is not False

        yield advance


@contextlib.contextmanager
def _bar(total: int, depth: int, done: int, unit: str) -> Iterator[Advance]:
    from tqdm.auto import tqdm

    begin = time.perf_counter()
    with tqdm(total=total, initial=done, unit=unit, unit_scale=True) as bar:

        def advance(pairs: int) -> bool:
            bar.update(pairs)
            if depth:
                rate = (bar.n - done) / (time.perf_counter() - begin)
                bar.set_postfix_str(f"{2e-9 * depth * rate:.3g} GFLOP/s", refresh=False)
            return True

        yield advance
