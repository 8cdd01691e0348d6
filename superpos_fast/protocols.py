"""What the engine asks of kernels.

Kernels know none of this: the entries beside `superpos_fast.kernels.reference` have what stands
here, and the type checker holds them to it where `superpos_fast.backends` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from .kernels.records import Footprint, Limits

# A block of rows, C-contiguous float32 or float64, with their exponents and squares.
Side = tuple[Any, Any, Any]


class FoldKind(Protocol):
    """A class of folds: one thread's buffers for a statistic.

    Made for (rows, columns) of a tile, rows of a decided piece, and pairs to list, with what it is
    about by keyword.  ``aim(error, ...)`` prepares it for the values of a tile, or for the cosines
    of a piece, which are exact; after a tile ``open`` says whether it could not list what is
    undecided, and ``take()`` returns the rows and columns that it has listed, counted from the
    tile's corner.
    """

    def __call__(self, *sizes: Any, **what: Any) -> Any:
        """Return a fold."""

    def footprint(self, *largest_piece: Any, **what: Any) -> Footprint:
        """Return the bytes of a fold for pieces of at most so many rows."""


class Packed(Protocol):
    """Consecutive rows, packed for a screen, in a room that is reused.

    Attributes
    ----------
    first : int
        The first row's place among all.
    """

    @property
    def first(self) -> int: ...

    def fill(self, block: Any, exponents: Any, squares: Any, start: int, /) -> None:
        """Pack a block whose first row is row `start`, a multiple of `panel`, of these rows."""


class Units(Packed, Protocol):
    """The same, as float32 unit rows.

    Attributes
    ----------
    roundings : float
        How many roundings the product of an entry goes through before it is all of a dot product's,
        the mean weighted by the entries' squares; of all rows the largest, infinite if not known.
    lost : (float, float, float) or None
        Of rows in digits what `superpos_fast.screening.digit_bound` wants to know.
    """

    @property
    def roundings(self) -> float: ...
    @property
    def lost(self) -> tuple[float, float, float] | None: ...

    def count_roundings(self, start: int, rows: int, /) -> None:
        """Find them for so many rows that were packed from `start` on, where that is possible."""


class Codes(Packed, Protocol):
    """The same, as codes.

    Attributes
    ----------
    facts : ndarray, shape (4, padded)
        A row's scale, sum of codes, length of codes and of what coding has added.
    residuals : ndarray
        Length of what of a row is not coded; zeros, unless they are set.
    """

    residuals: Any

    @property
    def facts(self) -> Any: ...

    def bounded(self, slacks: Any, columns: bool, /) -> None:
        """Set each row's part, on one side, of what a cosine may exceed the codes' by.

        The product of a pair's residuals comes on top of it.
        """


class Coder(Protocol):
    """What codes there are.

    Attributes
    ----------
    levels : (int, int)
        Largest magnitude of a row's codes and of a column's.
    cost : float
        What an entry of a pair costs, in float32 multiply-adds.
    draws : bool
        Whether rounding may draw; if not, rows are rounded to nearest, in float16.
    two_sided : bool
        Whether a row is coded differently as a row and as a column.
    finds_gates : bool
        Whether folds find gates in a tile of codes where there are none yet.
    """

    @property
    def levels(self) -> tuple[int, int]: ...
    @property
    def cost(self) -> float: ...
    @property
    def draws(self) -> bool: ...
    @property
    def two_sided(self) -> bool: ...
    @property
    def finds_gates(self) -> bool: ...

    def room(self, rows: int, depth: int, /) -> Any:
        """Return memory for the codes of so many rows, a multiple of the unit."""

    def codes(
        self, room: Any, squares: Any, first: int, depth: int, columns: bool, stream: int | None, /
    ) -> Codes:
        """Return codes that are yet to be filled.

        `columns` is the side that they are for; `stream` chooses what rounding draws, or with None
        is rounding to nearest.
        """


class Screens(Protocol):
    """Fast arithmetic on packed rows, with known errors.

    Attributes
    ----------
    coder : Coder or None
        Codes that may be screened before float32 is, if there are any.
    """

    @property
    def coder(self) -> Coder | None: ...

    def rehearse(
        self, folds: list[Any], dtypes: tuple[Any, ...], depth: int, coded: bool, /
    ) -> None:
        """Compile, or load, what a walk with these folds runs, if this process has not yet.

        `dtypes` are those of the two sides' blocks; `coded` is whether codes are screened too.
        """

    def cost(self, depth: int, /) -> float:
        """Return what a pair of unit rows costs, in float32 multiply-adds."""

    def chain(self, depth: int, certain: bool = True, /) -> int:
        """Return the longest chain of roundings behind a float32 dot product of unit rows.

        If not `certain`, one that a model of the machine shortens, where there is such a model.
        """

    def room(self, rows: int, depth: int, /) -> Any:
        """Return memory for so many unit rows, a multiple of the unit."""

    def units(self, room: Any, squares: Any, first: int, depth: int, /) -> Units:
        """Return float32 unit rows that are yet to be filled."""

    def packed(self, block: Any, exponents: Any, squares: Any, /) -> Units:
        """Return a block's rows as float32 unit rows, in memory of their own."""

    def products(self, left: Any, right: Any, /) -> Any:
        """Return the float32 dot products of all unit rows of two small sets."""

    def projected(
        self, directions: Any, block: Any, exponents: Any, squares: Any, /
    ) -> tuple[Any, Any]:
        """Return `products` of a block's rows with packed ones, and the sums of their squares."""

    def screen(
        self,
        workspace: Any,
        left: Any,
        right: Any,
        tile: tuple[int, int, int, int],
        shift: int | None,
        folds: Sequence[Any],
        /,
    ) -> None:
        """Fold a tile's values into folds that are aimed at it.

        `tile` is (row, row end, column, column end) within the two sides, starting at multiples of
        the unit; with a `shift` column j is the same vector as row j + shift, and only pairs of a
        row before its column count.
        """


class Kernels(Protocol):
    """What the engine asks of a module of kernels; see `superpos_fast.kernels.reference`.

    Attributes
    ----------
    screens : Screens or None
        If there are none, every tile is decided whole.
    BestFold, RanksFold, TotalFold : FoldKind
        The k best (``per``, ``k``, ``magnitude``), counts between ``thresholds`` with the pairs of
        the ranks ``listed``, and the sum of magnitudes.
    SecondMoment : type
        Sums of products of unit rows.
    """

    @property
    def screens(self) -> Screens | None: ...
    @property
    def BestFold(self) -> FoldKind: ...
    @property
    def RanksFold(self) -> FoldKind: ...
    @property
    def TotalFold(self) -> FoldKind: ...
    @property
    def SecondMoment(self) -> Any: ...

    def limits(self, depth: int, memory: int, /) -> Limits:
        """Return how work on vectors of that depth is cut within so many bytes."""

    def prepare(self, dtype: Any, /) -> None:
        """Compile, or load, the kernels that every call on `dtype` needs."""

    def workspace(self, pairs: int, /) -> Any:
        """Return one thread's buffers, for tiles of so many pairs."""

    def survey(self, block: Any, /) -> tuple[Any, Any, int]:
        """Return exponents and squares of a block's rows, and its first row not finite, or -1."""

    def scale(self, block: Any, exponents: Any, /) -> Any:
        """Return scaled float64 rows in the host's memory, perhaps with zeros behind each."""

    def listed_cosines(self, left: Side, i: Any, right: Side, j: Any, /) -> Any:
        """Return the deciding cosines of the pairs (row i[p] of left, row j[p] of right)."""

    def piece_side(self, block: Any, exponents: Any, squares: Any, /) -> Any:
        """Return rows ready to be decided in pieces."""

    def decide_piece(
        self, workspace: Any, left: Any, right: Any, shift: int | None, folds: Sequence[Any], /
    ) -> Iterator[tuple[int, Any, Any, Any]]:
        """Fold the deciding cosines of all pairs of two sides into folds that are aimed at them.

        Yields the number of a fold, and rows, columns and cosines that it has listed.
        """

    def keep_best(
        self, groups: Any, keys: Any, cosines: Any, magnitude: bool, best: Any, best_keys: Any, /
    ) -> None:
        """Let each pair into its group's list, in place: k best cosines and keys (-1: empty)."""

    def sort_lists(self, best: Any, best_keys: Any, magnitude: bool, /) -> None:
        """Sort lists in place, the best first and empty slots last."""


class HostKernels(Kernels, Protocol):
    """Kernels that work in the host's memory, with those that only work there.

    Attributes
    ----------
    SmoothSets, SmoothPass, SmoothWorkspace : type
        Sums of exponentials of squared cosines with their gradient: of small sets, of one set tile
        by tile, and a thread's buffers for the latter.
    """

    @property
    def SmoothSets(self) -> Any: ...
    @property
    def SmoothPass(self) -> Any: ...
    @property
    def SmoothWorkspace(self) -> Any: ...

    def match_free(
        self,
        starts: Any,
        columns: Any,
        scores: Any,
        own: Any,
        other: Any,
        partners: Any,
        owners: Any,
        /,
    ) -> None:
        """Match rows of a sparse table along shortest augmenting paths, in place."""

    def normals(self, seed: int, first: int, count: int, dtype: Any, /) -> Any:
        """Return so many normals of the stream of a seed and a type, from number `first` on."""


class Devices(Protocol):
    """Where kernels work that is not the host, entered for the time of a call.

    Attributes
    ----------
    streams : int
        Threads that keep them busy.
    """

    def __enter__(self) -> Devices: ...
    def __exit__(self, kind: Any, error: Any, trace: Any, /) -> None: ...
    @property
    def streams(self) -> int: ...

    def memory(self) -> int:
        """Return the bytes that may be taken on each device."""

    def size(self, matrix: Any, /) -> int:
        """Return the bytes that a matrix takes when it is held on each device."""

    def adopt(self, matrix: Any, /) -> Any:
        """Return a matrix held on each device; of others rows are brought when they are read."""

    def lay(self, array: Any, device: int, /) -> Any:
        """Return a copy of the host's array on a device."""
