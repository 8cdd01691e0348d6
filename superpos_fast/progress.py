"""Progress: a bar on the terminal or in the notebook, or a function of the caller's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from .execution import Progress


@contextlib.contextmanager
def reporting(progress: Progress, total: int) -> Iterator[Callable[[int], object]]:
    """Yield the function to call with each number of pairs done, one thread at a time."""
    if progress is False:
        yield lambda pairs: None
    elif progress is True:
        from tqdm.auto import tqdm

        with tqdm(total=total, unit="pair", unit_scale=True) as bar:
            yield bar.update
    else:
        done = 0

        def advance(pairs: int) -> None:
            nonlocal done
            done += pairs
            progress(done, total)

        yield advance
