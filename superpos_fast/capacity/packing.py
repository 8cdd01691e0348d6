"""Packings: lines that a search has moved as far apart as it could."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from ..backends import choose_host_kernels
from ..closest import coherence, nearest
from ..execution import Resources
from ..floating import ieee_mode
from ..progress import reporting
from ..protocols import HostKernels
from ..results import Run
from ..vectors import Matrix, check_count
from .checkpoints import KeptIn, Progressed
from .effort import Effort, quietly, resources_of
from .floors import coherence_floor
from .lbfgs import MEMORY
from .search import Milestone, Search, Wanted
from .starts import parted

_MOST = 2**31
# Arrays of n x d float64 in a descent: points, gradients, directions, trials and what becomes of
# them, and the float32 ones of a pass.
_ARRAYS = 14


@dataclass(frozen=True)
class Packing:
    """Lines that were moved apart.

    Attributes
    ----------
    vectors : ndarray of float64, shape (n, d)
        A unit vector on each line.
    coherence : float
        The largest |cos| of two of them, exact for these vectors: that of
        `superpos_fast.coherence`.
    restarts : int
        Descents that went through all stages.
    history : tuple of Milestone
        When the search had something better than before: ``.restart``, its ``.steps``, the
        ``.coherence`` reached as the descent saw it, and the ``.seconds`` since the beginning.
    run : Run
        Facts about the call that decided the coherence, left out of comparisons.
    """

    vectors: NDArray[np.float64] = field(repr=False, compare=False)
    coherence: float
    restarts: int
    history: tuple[Milestone, ...] = field(default=(), repr=False)
    run: Run = field(default=Run(), compare=False, repr=False)

    @property
    def angle(self) -> float:
        """The smallest angle between two of the lines, in degrees."""
        return math.degrees(math.acos(self.coherence))


def pack(
    n: int,
    d: int,
    *,
    start: Matrix | None = None,
    restarts: int | None = None,
    max_steps: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    checkpoint: KeptIn = None,
    **effort: Unpack[Effort],
) -> Packing:
    """Look for n lines in R^d whose coherence is as small as possible.

    Parameters
    ----------
    n : int
        Number of lines, at least 2.
    d : int
        Number of dimensions, at least 1.
    start : array_like, shape (n, d), optional
        One vector a row to begin from, a trained dictionary say, read as by
        `superpos_fast.coherence`.  The first descent begins there, later ones with each vector
        turned at random by about 6 degrees; what is returned is never worse than the start.
    restarts : int, optional
        Descents, of which the best counts.  Default: as many as there is time for; without
        `seconds` up to 1024, fewer of larger packings, and 1 where N^2 d is beyond 1e9 or with a
        start.
    max_steps : int, optional
        Most steps of L-BFGS in a descent, at one to two passes over all pairs each.
    seconds : float, optional
        Time to search for, after which the best that was found is returned.
    seed : int
        Of all random starts.
    checkpoint : str, os.PathLike or Checkpoint, optional
        A file that the search is saved to, and taken up from if it exists: after each descent, of
        large packings after each stage of one.
    **effort
        How to compute (see `superpos_fast.capacity.Effort`).  Under a cap on ``memory`` fewer steps
        are remembered; ``progress`` is of steps of L-BFGS, or with `seconds` and without `restarts`
        of milliseconds, and one that returns False stops the search with the best so far.

    Returns
    -------
    Packing
        ``.vectors``, their ``.coherence``, and the ``.history`` of the search.

    Raises
    ------
    TypeError, ValueError
        For arguments of a wrong kind or range, a start of another shape or with a row of zeros, or
        another search's checkpoint; the message names the argument, the requirement and what came.

    Notes
    -----
    A descent minimises F_b = log(sum_{i<j} exp(b c_ij^2)) / b over a product of n spheres by
    Riemannian L-BFGS, and b rises from stage to stage until F_b is within 1e-4 of max c^2:
    sequential smoothing (compare Medra & Davidson 2014, "Flexible codebook design for limited
    feedback systems via sequential smooth optimization on the Grassmannian manifold").  Every
    second restart of a small packing begins with orbits of a random rotation of finite order.  The
    best few of small packings (N^2 d up to 4e7) are descended on in float64 to a gap of 1e-9, and
    where n (d - 1) is at most 400 finished by sequential linear programming on their closest pairs.

    A step takes one or two passes over all pairs, each of 3 n^2 d operations; memory is O(n d),
    with the 8 steps that L-BFGS remembers 16 n d float64 and more: fewer are remembered where a cap
    on `memory` has no room for them.

    The result hangs on n, d, start, seed, restarts and max_steps, and on the processor's vector
    registers, which sums are as wide as; it does not hang on the number of threads, nor on whether
    the search was interrupted and taken up again.  With `seconds` it hangs on how fast the machine
    is.  No packing found is known to be the best but by a bound that it attains; then no further
    restart is begun.

    Examples
    --------
    >>> from superpos_fast.capacity import pack
    >>> packing = pack(6, 3, restarts=4)  # the diagonals of an icosahedron
    >>> round(packing.coherence, 6)
    0.447214
    >>> packing.vectors.shape
    (6, 3)
    """
    count, depth = check_count(n, "n", 2, _MOST), check_count(d, "d", 1, _MOST)
    allowed, how = resources_of(effort), quietly(effort)
    kernels = choose_host_kernels(allowed.backend)
    wanted = Wanted(
        n=count,
        d=depth,
        seed=check_count(seed, "seed", 0, 2**63 - 1),
        restarts=None if restarts is None else check_count(restarts, "restarts", 1, _MOST),
        max_steps=None if max_steps is None else check_count(max_steps, "max_steps", 1, _MOST),
        seconds=None if seconds is None else _positive(seconds),
        goal=coherence_floor(count, depth).cosine,
        memory=_remembered(count, depth, allowed.memory),
    )
    given = None
    if start is not None:
        given = _units(start, count, depth)
        closest = np.abs(nearest(given, **how).cosines[:, 0])
        wanted = wanted.beginning(parted(given, closest, wanted.seed), float(closest.max()))
    held = Progressed(checkpoint, "search", **wanted.question)
    history: tuple[Milestone, ...]
    with ieee_mode(), closing(held):
        if count <= depth:
            vectors, done, history = _orthonormal(wanted), 1, ()
        else:
            vectors, done, history = _searched(wanted, kernels, allowed, held)
    found = coherence(vectors, return_pair=True, **how)
    if given is not None and closest.max() < found.value:
        vectors = given
        found = coherence(vectors, return_pair=True, **how)
    return Packing(vectors, found.value, done, history, found.run)


def _searched(
    wanted: Wanted, kernels: HostKernels, allowed: Resources, held: Progressed
) -> tuple[Any, int, tuple[Milestone, ...]]:
    """Search; return the vectors, the number of descents, and the history."""
    timed = wanted.seconds is not None and wanted.restarts is None
    total = round(1000 * (wanted.seconds or 0)) if timed else wanted.count * wanted.most_steps
    begin, done = time.perf_counter(), 0
    with reporting(allowed.progress, total, unit="ms" if timed else "step") as report:

        def advance(steps: int) -> bool:
            nonlocal done
            before = done
            done = round(1000 * (time.perf_counter() - begin)) if timed else done + steps
            done = max(before, min(done, total))
            return done == before or report(done - before)

        search = Search(wanted, kernels, allowed.threads, held, advance)
        vectors = search.run()
        if done < total and not search.is_stopped:
            report(total - done)
    return vectors, search.restarts, tuple(search.history)


def _orthonormal(wanted: Wanted) -> Any:
    """Return orthonormal vectors, the nearest to the start where there is one (Loewdin 1950)."""
    if wanted.start is None:
        return np.eye(wanted.n, wanted.d)
    left, _, right = np.linalg.svd(wanted.start, full_matrices=False)
    return left @ right


def _units(start: Matrix, n: int, d: int) -> Any:
    """Return a start's rows as float64 unit vectors."""
    rows = np.array(start, np.float64)
    if rows.shape != (n, d):
        raise ValueError(f"start: must have shape {(n, d)}, got {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"start: entries must be finite, got {rows[~np.isfinite(rows)][0]}")
    largest = np.abs(rows).max(axis=1, keepdims=True)
    if not largest.all():
        raise ValueError(f"start: rows must not be zero, got zeros in row {largest.argmin()}")
    rows /= largest
    return rows / np.sqrt((rows * rows).sum(axis=1, keepdims=True))


def _positive(seconds: float) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | np.number):
        raise TypeError(f"seconds: must be a number, got {seconds!r}")
    if not 0.0 < seconds < math.inf:
        raise ValueError(f"seconds: must be positive and finite, got {seconds}")
    return float(seconds)


def _remembered(n: int, d: int, memory: int | None) -> int:
    """Return how many steps L-BFGS has room to remember."""
    line = 8 * n * d
    if memory is None:
        return MEMORY
    room = (memory - _ARRAYS * line) // (2 * line)
    if room < 1:
        raise ValueError(
            f"memory: must be at least {(_ARRAYS + 2) * line} bytes for {n} x {d} entries, "
            f"got {memory}"
        )
    return min(MEMORY, room)
