"""The CPU's entry of the kernel table: NumPy arrays in, NumPy arrays out.

`superpos_fast.kernels.reference` offers the same functions in plain NumPy; the table that chooses
is `superpos_fast.backends`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .. import reference
from ..records import Limits
from . import deciding, lists, screening
from .assignment import match_free as match_free
from .deciding import decide_piece as decide_piece
from .deciding import listed_cosines as listed_cosines
from .deciding import piece_side as piece_side
from .deciding import scale as scale
from .deciding import survey as survey
from .moments import SecondMoment as SecondMoment
from .normals import normals as normals
from .smooth_pass import SmoothPass as SmoothPass
from .smooth_pass import SmoothSets as SmoothSets
from .smooth_pass import SmoothWorkspace as SmoothWorkspace
from .tile_folds import BestFold as BestFold
from .tile_folds import RanksFold as RanksFold
from .tile_folds import TotalFold as TotalFold
from .workspace import Workspace

screens = screening

# Multiply-adds in a tile: long against the Python that it costs, of which other threads wait for
# most, and short for Ctrl-C and an even finish.  With 1e9 and 4e9 the coherence of a table of
# 30522 x 384 took 1.2 and 1.1 times as long.
LARGEST_TILE = 2 * 10**9
SMALLEST_TILE = 2 * 10**7
# A tile is decided whole once more than one pair in 64 is undecided: a listed pair costs 30 times
# (d = 64) to 45 times (d = 768) what a pair of a whole tile does.
OPEN_SHARE = 64
MOST_SURVIVORS = 1 << 18
LARGEST_PIECE = 576 // deciding.UNIT * deciding.UNIT
# Rows are read in blocks of 256 KiB to 4 MiB, so that a small input stays with one thread.
SMALLEST_READ, LARGEST_READ = 2**18, 2**22
# Listed pairs are decided 1 MiB at a time: memory that is new to the process in every batch takes
# longer to map, 10 us a pair at d = 768, than its pairs to decide.
MOST_LISTED = 2**20
# Multiply-adds from which codes are tried: 10 to 20 ms of float32, next to which looking at a
# sample of the rows is little.
CODED_WORK = 2 * 10**9

# So few pairs are ranked in NumPy: all that `coherence` has, most of the time, so that its first
# call need not compile a kernel, half a second, for them.
_HANDFUL = 32


def limits(depth: int, memory: int) -> Limits:
    """Return how work on vectors of that depth is cut; every `memory` is the host's."""
    del memory
    return Limits(
        unit=screens.UNIT,
        panel=screens.PANEL,
        tile_rows=screens.TILE_ROWS,
        tile_columns=screens.TILE_COLUMNS,
        stripe=2 * screens.UNIT,
        smallest_tile=SMALLEST_TILE,
        largest_tile=LARGEST_TILE,
        most_pairs=2**62,
        open_share=OPEN_SHARE,
        most_survivors=MOST_SURVIVORS,
        piece_unit=deciding.UNIT,
        largest_piece=LARGEST_PIECE,
        pair=deciding.PAIR_BYTES,
        smallest_read=SMALLEST_READ,
        largest_read=LARGEST_READ,
        most_listed=MOST_LISTED,
        scratch=Workspace.BYTES,
        packed_row=screens.unit_bytes(depth),
        coded_row=screens.code_bytes(depth),
        coded_work=CODED_WORK,
    )


def workspace(pairs: int) -> Workspace:
    """Return one thread's buffers, the same for tiles of any number of pairs."""
    del pairs
    return Workspace()


@cache
def prepare(dtype: Any) -> None:
    """Compile the kernels, or load them from the cache, that every call on `dtype` needs."""
    block = np.ones((2, 1), dtype)
    screens.packed(block, *survey(block)[:2])


def keep_best(
    groups: Any, keys: Any, cosines: Any, magnitude: bool, best: Any, best_keys: Any
) -> None:
    """Let each pair into its group's list, in place: k best cosines and keys (-1: empty)."""
    if len(cosines) <= _HANDFUL:
        reference.keep_best(groups, keys, cosines, magnitude, best, best_keys)
        return
    sign = -1.0 if magnitude else 1.0
    lists.keep_best(groups, keys, cosines, sign, 0, len(best), best, best_keys)


def sort_lists(best: Any, best_keys: Any, magnitude: bool) -> None:
    """Sort lists in place, the best first and empty slots last."""
    if best.size <= _HANDFUL:
        reference.sort_lists(best, best_keys, magnitude)
        return
    lists.sort_lists(best, best_keys, -1.0 if magnitude else 1.0)
