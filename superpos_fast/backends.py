"""Which kernels compute: one table, chosen explicitly, never a silent fallback."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .checks import check_choice


class Kernels(Protocol):
    """What the engine asks of a module of kernels; see `superpos_fast.kernels.reference`.

    Attributes
    ----------
    SCREENS : bool
        Whether it has the names of `ScreeningKernels`; if not, every tile is decided whole.
    UNIT, PANEL : int
        Packed rows are padded to a multiple of the first and filled by multiples of the second.
    DECIDE_UNIT : int
        Rows of a decided piece are padded to a multiple of this.
    TILE_ROWS, TILE_COLUMNS : int
        Tiles are multiples of this.
    SCRATCH_BYTES, PAIR_BYTES : int
        Memory of a thread's workspace, and of each pair of a piece while it is decided.
    """

    SCREENS: bool
    UNIT: int
    PANEL: int
    DECIDE_UNIT: int
    TILE_ROWS: int
    TILE_COLUMNS: int
    SCRATCH_BYTES: int
    PAIR_BYTES: int
    Workspace: Any
    BestFold: Any
    RanksFold: Any
    TotalFold: Any
    SecondMoment: Any

    def prepare(self, dtype: Any, /) -> None: ...
    def packed_depth(self, depth: int, /) -> tuple[int, int]: ...
    def survey(self, block: Any, /) -> tuple[Any, Any, int]: ...
    def scale(self, block: Any, exponents: Any, unit: int = 1, /) -> Any: ...
    def listed_cosines(self, left: Any, i: Any, right: Any, j: Any, /) -> Any: ...
    def tile_cosines(
        self, own: Any, left: Any, right: Any, squares: Any, others: Any, shift: int | None, /
    ) -> Any: ...
    def sift(self, cosines: Any, row: int, fold: Any, /) -> int: ...
    def keep_best(
        self, groups: Any, keys: Any, cosines: Any, magnitude: bool, best: Any, best_keys: Any, /
    ) -> None: ...


class ScreeningKernels(Kernels, Protocol):
    """Kernels with a fast screen; see `superpos_fast.kernels.cpu.entry`."""

    CODES: bool
    MOST_CODES: int
    CODE_LEVELS: tuple[int, int]
    CODE_COST: float
    Packed: Any
    Codes: Any

    def rehearse(self, folds: list[Any], dtypes: tuple[Any, ...], coded: bool, /) -> None: ...
    def code_words(self, depth: int, /) -> tuple[int, int]: ...
    def packed(self, block: Any, exponents: Any, squares: Any, /) -> Any: ...
    def products(self, left: Any, right: Any, /) -> Any: ...
    def aligned(self, count: int, dtype: Any, /) -> Any: ...
    def chain(self, depth: int, /) -> int: ...
    def screen(
        self,
        own: Any,
        left: Any,
        right: Any,
        tile: tuple[int, int, int, int],
        shift: int | None,
        aimed: list[Any],
        /,
    ) -> None: ...


@dataclass(frozen=True)
class Backend:
    """A name and the kernels behind it."""

    name: str
    kernels: Kernels


def _reference() -> Kernels:
    from .kernels import reference

    return reference


def _cpu() -> Kernels:
    if _compiler_is_off():
        raise ValueError(
            "backend: 'cpu' must have Numba's compiler, got NUMBA_DISABLE_JIT=1 in the environment "
            "('auto' takes 'reference' then)"
        )
    from .kernels.cpu import entry

    return entry


# The reference first.  "auto" is the CPU's compiled kernels, or the reference where the user has
# switched Numba's compiler off; the record of the run says which.
ENTRIES: dict[str, Callable[[], Kernels]] = {"reference": _reference, "cpu": _cpu}


def choose_backend(name: str) -> Backend:
    """Return the backend of that name."""
    if name == "auto":
        name = "reference" if _compiler_is_off() else "cpu"
    check_choice(name, "backend", "auto", *ENTRIES)
    return Backend(name, ENTRIES[name]())


def _compiler_is_off() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
