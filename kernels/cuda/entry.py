"""The devices' entry of the kernel table: what the engine holds of a call on NVIDIA devices.

`superpos_fast.kernels.reference` offers the same functions in plain NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from math import isqrt
from types import TracebackType
from typing import Any

import numpy as np

from ..records import Footprint, Limits
from . import deciding, inputs, loader, moments, resident, tile_folds
from .hosts import Hosts
from .packed import UNIT, Halves, Units
from .screening import Screens
from .team import Team

# Sides of tiles: of all there is, the workspaces of both streams take an eighth at most.  The host
# takes 0.3 to 0.6 ms for a tile: in tiles of 8192 x 8192 a million vectors, d = 64, waited for it
# three quarters of the time (H200).  How much a tile should be takes a device as long.  Open pairs
# are decided one by one sooner than a whole tile up to one pair in 64.
_LARGEST_SIDE, _SMALLEST_SIDE = 32768, 128
_SMALLEST_TILE, _LARGEST_TILE = 10**11, 2**62
_WORKSPACES_SHARE = 16
_OPEN_SHARE = 64
_MOST_SURVIVORS = 1 << 21
_LARGEST_PIECE = 2048
_READ_BYTES = 2**26
_MOST_LISTED = 2**28
# What is left to others of the free memory.
_FREE_SHARE = 0.8
# What is known of a row that is held on a device: its exponent and square.
_KNOWN_BYTES = 12


_module = cache(loader.load)


def module_on(number: int | None) -> loader.Module:
    """Return the kernels on a device, by default the current one."""
    return _module(loader.current() if number is None else number)


class _Kind:
    """A class of folds, of a team."""

    def __init__(self, team: Team, kind: Any) -> None:
        self._team, self._kind = team, kind

    def __call__(self, *sizes: Any, **what: Any) -> Any:
        """Return a fold of the thread that asks."""
        return self._kind(self._team, *sizes, **what)

    def footprint(self, *largest_piece: Any, **what: Any) -> Footprint:
        """Return the bytes of a fold."""
        footprint: Footprint = self._kind.footprint(*largest_piece, **what)
        return footprint


class _Moments:
    """Sums of products, of a team."""

    def __init__(self, team: Team) -> None:
        self._team = team

    def __call__(self, *what: Any) -> moments.SecondMoment:
        """Return sums of the thread that asks."""
        return moments.SecondMoment(self._team, *what)

    shape = staticmethod(moments.SecondMoment.shape)
    row_bytes = staticmethod(moments.SecondMoment.row_bytes)
    rehearse = staticmethod(moments.SecondMoment.rehearse)


class Cuda:
    """Kernels on some devices, for one call."""

    def __init__(self, numbers: Sequence[int | None]) -> None:
        self._team = team = Team([module_on(number) for number in numbers])
        self.screens, self._hosts = Screens(team), Hosts()
        self.BestFold = _Kind(team, tile_folds.BestFold)
        self.RanksFold = _Kind(team, tile_folds.RanksFold)
        self.TotalFold = _Kind(team, tile_folds.TotalFold)
        self.SecondMoment = _Moments(team)

    # Where rows are held

    def __enter__(self) -> Cuda:
        self._team.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hosts.close()
        self._team.__exit__(kind, error, trace)

    @property
    def streams(self) -> int:
        """Threads that keep the devices busy."""
        return self._team.streams

    def memory(self) -> int:
        """Return the bytes that may be taken on each device."""
        free = []
        for module in self._team.modules:
            with self._team.here().on(module):
                pool = self._team.arrays.get_default_memory_pool()
                free.append(self._team.arrays.cuda.runtime.memGetInfo()[0] + pool.free_bytes())
        return int(min(free) * _FREE_SHARE)

    def size(self, matrix: Any) -> int:
        """Return the bytes that a matrix takes when it is held on each device."""
        known = _KNOWN_BYTES * len(matrix)
        if isinstance(matrix, inputs.OnDevice):
            return known
        return known + int(matrix.size) * int(matrix.dtype.itemsize)

    def adopt(self, matrix: Any) -> resident.DeviceRows:
        """Return a matrix held on each device; of others rows are brought when they are read."""
        if isinstance(matrix, inputs.OnDevice):
            return resident.adopted_there(self._team, matrix)
        return resident.adopted(self._team, matrix)

    def lay(self, array: Any, device: int) -> Any:
        """Return a copy of the host's array on a device, ready for any stream."""
        with self._team.arrays.cuda.Device(device):
            stream = self._team.arrays.cuda.Stream(non_blocking=True)
            with stream:
                there = self._team.arrays.asarray(np.ascontiguousarray(array))
            stream.synchronize()
        return there

    # What the engine asks of kernels

    def limits(self, depth: int, memory: int) -> Limits:
        """Return how work on vectors of that depth is cut within so many bytes of a device."""
        side = isqrt(memory // (4 * _WORKSPACES_SHARE))
        side = min(max(side // _SMALLEST_SIDE * _SMALLEST_SIDE, _SMALLEST_SIDE), _LARGEST_SIDE)
        return Limits(
            unit=UNIT,
            panel=UNIT,
            tile_rows=_SMALLEST_SIDE,
            tile_columns=_SMALLEST_SIDE,
            stripe=0,  # folds find gates by themselves
            smallest_tile=_SMALLEST_TILE,
            largest_tile=_LARGEST_TILE,
            most_pairs=side * side,
            open_share=_OPEN_SHARE,
            most_survivors=_MOST_SURVIVORS,
            piece_unit=1,
            largest_piece=_LARGEST_PIECE,
            pair=8,
            smallest_read=_READ_BYTES,
            largest_read=_READ_BYTES,
            most_listed=_MOST_LISTED,
            scratch=4 * side * side,
            packed_row=Units.bytes(depth),
            coded_row=Halves.bytes(depth),
        )

    def prepare(self, dtype: Any) -> None:
        """Do nothing: kernels are compiled, or found in CuPy's cache, when they are launched."""
        del dtype

    def workspace(self, pairs: int) -> Any:
        """Return memory for a tile of so many pairs on the thread's device."""
        self._team.here()
        return self._team.arrays.empty(pairs, np.float32)

    def survey(self, block: Any) -> tuple[Any, Any, int]:
        """Return exponents and squares of a block's rows, and its first bad one, or -1."""
        return resident.survey(self._team, block)

    def scale(self, block: Any, exponents: Any) -> Any:
        """Return scaled float64 rows on the host, perhaps with zeros behind each."""
        return deciding.scale(self._team, block, exponents)

    def listed_cosines(self, left: Any, i: Any, right: Any, j: Any) -> Any:
        """Return the deciding cosines of the pairs (row i[p] of left, row j[p] of right)."""
        return deciding.listed_cosines(self._team, left, i, right, j)

    def piece_side(self, block: Any, exponents: Any, squares: Any) -> Any:
        """Return rows ready to be decided in pieces."""
        return deciding.piece_side(self._team, block, exponents, squares)

    def decide_piece(
        self, workspace: Any, left: Any, right: Any, shift: int | None, aimed: Sequence[Any]
    ) -> Iterator[tuple[int, Any, Any, Any]]:
        """Fold the deciding cosines of all pairs of two sides into folds that are aimed at them."""
        del workspace
        return deciding.decide_piece(self._team, left, right, shift, aimed)

    def keep_best(
        self, groups: Any, keys: Any, cosines: Any, magnitude: bool, best: Any, best_keys: Any
    ) -> None:
        """Let each pair into its group's list, in place: k best cosines and keys (-1: empty)."""
        self._hosts.keep_best(groups, keys, cosines, magnitude, best, best_keys)

    def sort_lists(self, best: Any, best_keys: Any, magnitude: bool) -> None:
        """Sort lists in place, the best first and empty slots last."""
        self._hosts.sort_lists(best, best_keys, magnitude)
