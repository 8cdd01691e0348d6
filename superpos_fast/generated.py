"""Rows that are generated when they are read, and stored nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .backends import choose_host_kernels
from .blocks import Rows
from .floating import ieee_mode
from .vectors import check_count

# Names the stream that random rows are drawn from, in checkpoints.
STREAM = "Philox4x32-10, Box-Muller"
_MOST_ROWS = 2**40
_MOST_ENTRIES = 2**32
_MOST_NUMBERS = 2**62


def rows(
    n: int,
    d: int,
    generate: Callable[[int, int], Any],
    *,
    key: str | None = None,
    block: int = 4096,
) -> Rows:
    """Return vectors that are generated when they are read, for any function of this package.

    Parameters
    ----------
    n, d : int
        How many vectors, and entries of each.
    generate : callable
        ``generate(start, stop)`` returns vectors start..stop as an array of shape
        (stop - start, d), always of one real dtype.  It must be pure, the same numbers each time,
        as blocks are generated anew where memory is short; several threads call it at once.  It is
        only ever called on whole blocks, start a multiple of `block` and stop = min(start + block,
        n), so that no tile or thread can change the vectors.
    key : str, optional
        Names the generator, its parameters and seed: what a checkpoint or a shard remembers of it.
        Needed for these only; it is for you to see that equal keys are equal vectors.
    block : int
        Vectors generated at a time.  A few blocks are in memory at once.

    Returns
    -------
    Rows
        In the place of `vectors` or `other`.

    Raises
    ------
    TypeError, ValueError
        For an argument of another kind or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import superpos_fast
    >>> def ramp(start, stop):
    ...     return np.stack([np.arange(start, stop), np.ones(stop - start)], axis=1)
    >>> superpos_fast.count(superpos_fast.rows(1000, 2, ramp, key="ramp"), angle=45)
    498501
    """
    shape = check_count(n, "n", 1, _MOST_ROWS), check_count(d, "d", 1, _MOST_ENTRIES)
    together = check_count(block, "block", 1, _MOST_ROWS)
    if not callable(generate):
        raise TypeError(f"generate: must be a function of (start, stop), got {generate!r}")
    if key is not None and not isinstance(key, str):
        raise TypeError(f"key: must be text, got {key!r}")
    return Rows(shape, generate, key, together)


def random_rows(
    n: int, d: int, *, seed: int = 0, dtype: str = "float32", block: int = 4096
) -> Rows:
    """Return independent random directions, uniform on the sphere, that are stored nowhere.

    Parameters
    ----------
    n, d : int
        How many vectors, and entries of each.
    seed : int
        0 to 2^64 - 1.
    dtype : {"float32", "float64"}
        Type of the entries, which are standard normal: the vectors' lengths are random too.
    block : int
        Vectors generated at a time, which are the same for every block.

    Returns
    -------
    Rows
        In the place of `vectors` or `other`.

    Raises
    ------
    TypeError, ValueError
        For an argument of another kind or out of range.

    Notes
    -----
    The entries, row after row, are those of one stream, any part of which is drawn without what is
    before it: a counter is turned into random bits by Philox4x32-10 with the seed as its key
    (Salmon, Moraes, Dror & Shaw 2011, *Parallel random numbers: as easy as 1, 2, 3*), and these
    into normals by Box & Muller (1958, *A note on the generation of random normal deviates*).  They
    have the same bits on every machine, and the first rows are the same for every n.

    Examples
    --------
    >>> import superpos_fast
    >>> directions = superpos_fast.random_rows(20_000, 16)
    >>> round(superpos_fast.coherence(directions), 6)
    0.959138
    """
    count, depth = check_count(n, "n", 1, _MOST_ROWS), check_count(d, "d", 1, _MOST_ENTRIES)
    number = check_count(seed, "seed", 0, 2**64 - 1)
    if count * depth > _MOST_NUMBERS:
        raise ValueError(f"n, d: must be at most 2^62 entries together, got {n} x {d}")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype: must be 'float32' or 'float64', got {dtype!r}")

    def generate(start: int, stop: int) -> Any:
        return drawn(depth, number, start, stop, dtype)

    key = f"random_rows seed={number} dtype={dtype}: {STREAM}"
    return rows(count, depth, generate, key=key, block=block)


def drawn(d: int, seed: int, start: int, stop: int, dtype: Any = np.float32) -> Any:
    """Return rows `start` to `stop` of `random_rows`."""
    kernels = choose_host_kernels("auto")
    with ieee_mode():
        return kernels.normals(seed, start * d, (stop - start) * d, dtype).reshape(-1, d)
