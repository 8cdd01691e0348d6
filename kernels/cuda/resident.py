"""Rows on devices: a whole matrix that lies there, and blocks that are brought for the moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from .formats import ELEMENT_TYPES
from .inputs import OnDevice, from_bits
from .loader import Module
from .team import Team

# Host rows are copied to a device so many bytes at a time.
_COPIED = 2**26


class Lines(NamedTuple):
    """Rows on one device, with what is known of them."""

    data: Any
    type: int
    stride: int
    exponents: Any = None
    squares: Any = None

    def arguments(self, prefix: str = "") -> dict[str, Any]:
        """Return these as a kernel's arguments."""
        names = f"{prefix}_" if prefix else ""
        named = {f"{names}{name}": value for name, value in zip(self._fields, self, strict=True)}
        named[prefix or "data"] = named.pop(f"{names}data")
        return named


class DeviceRows:
    """A matrix as it lies on each of the team's devices.

    Attributes
    ----------
    shape : (int, int)
        Rows and entries.
    dtype : dtype
        Of the numbers, or one that is as wide.
    """

    is_resident = True

    def __init__(self, team: Team, copies: dict[int, Any], kind: int, dtype: Any) -> None:
        self._team, self._copies, self._kind = team, copies, kind
        first = copies[team.modules[0].device.number]
        self.shape, self.dtype = first.shape, dtype
        self._exponents, self._squares = {}, {}
        for module in team.modules:
            number = module.device.number
            with team.here().on(module):
                self._exponents[number] = team.arrays.zeros(len(first), np.int32)
                self._squares[number] = team.arrays.zeros(len(first), np.float64)
                team.here().synchronize(module)  # other threads' streams go on from here

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, some: slice) -> Block:
        start, stop, _ = some.indices(len(self))
        return Block(self, start, stop)

    block = 0

    @property
    def origin(self) -> Any:
        """What another process would make it of: nothing that it could."""
        return self

    def rows(self, start: int, stop: int) -> Block:
        """Return some rows."""
        return Block(self, start, stop)

    def take(self, indices: Any) -> Any:
        """Return a copy of the listed rows on the host."""
        return self.host(0, len(self))[indices]

    def expect(self, now: Any, later: Any) -> None:
        """Do nothing: all rows are there."""

    def close(self) -> None:
        """Do nothing: nothing was kept."""

    def host(self, start: int, stop: int) -> Any:
        """Return a copy of rows on the host."""
        place = self._team.here()
        host = self._copies[place.module.device.number][start:stop].get()
        return from_bits(host, self._kind)

    def lines(self, module: Module, start: int, stop: int) -> Lines:
        """Return rows on a device; what is known of them may yet be written there."""
        number = module.device.number
        data, some = self._copies[number], slice(start, stop)
        stride = data.strides[0] // data.itemsize if len(data) > 1 else data.shape[1]
        known = self._exponents[number][some], self._squares[number][some]
        return Lines(data[some], self._kind, stride, *known)


class Block:
    """Some rows of a matrix on devices, in the place of a block of the host's."""

    def __init__(self, rows: DeviceRows, start: int, stop: int) -> None:
        self.rows, self._range = rows, (start, stop)
        self.shape, self.dtype = (stop - start, rows.shape[1]), rows.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def lines(self, module: Module) -> Lines:
        """Return the rows on a device."""
        return self.rows.lines(module, *self._range)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        del copy
        host = self.rows.host(*self._range)
        return host if dtype is None else host.astype(dtype)


def lines_of(
    team: Team, module: Module, block: Any, exponents: Any = None, squares: Any = None
) -> Lines:
    """Return a block's rows on a device, which is current: copied there if they are the host's.

    CuPy copies through memory that it keeps pinned, while the device does what it was given before.
    """
    if isinstance(block, Block):
        return block.lines(module)
    data = team.arrays.asarray(np.ascontiguousarray(block))
    known = (None if part is None else team.arrays.asarray(part) for part in (exponents, squares))
    return Lines(data, ELEMENT_TYPES[block.dtype.name], block.shape[1], *known)


def adopted(team: Team, array: Any) -> DeviceRows:
    """Return a matrix of the host's copied to each device, in the type that it has."""
    kind = ELEMENT_TYPES[array.dtype.name]
    plain = np.dtype({"bool": np.uint8, "bfloat16": np.uint16}.get(array.dtype.name, array.dtype))
    if array.dtype.name not in ("bool", "bfloat16"):
        plain = plain.newbyteorder("=")

    def to_device(some: slice) -> Any:
        block = np.ascontiguousarray(array[some])
        # Other bytes in the same places where the type has another name here.
        block = block.view(plain) if block.dtype.isnative else block.astype(plain)
        return team.arrays.asarray(block)

    return DeviceRows(
        team, _spread(team, team.modules, array.shape, plain, to_device), kind, array.dtype
    )


def adopted_there(team: Team, matrix: OnDevice) -> DeviceRows:
    """Return a matrix as it lies on its device, copied to the others of the team.

    Rows that are not each in one piece are copied.
    """
    array, arrays = matrix.array, team.arrays
    size = array.itemsize
    home = array.device.id
    with arrays.cuda.Device(home):
        apart = array.shape[1] > 1 and array.strides[1] != size
        if apart or (len(array) > 1 and array.strides[0] < size * array.shape[1]):
            array = arrays.ascontiguousarray(array)
            arrays.cuda.get_current_stream().synchronize()
        plain = array.view(np.uint8) if array.dtype == np.bool_ else array
        if matrix.type == "bfloat16" and plain.dtype != np.uint16:
            plain = plain.view(np.uint16)
    away = tuple(module for module in team.modules if module.device.number != home)
    copies = {home: plain} if len(away) < len(team.modules) else {}
    if away:

        def part(some: slice) -> Any:
            return arrays.asarray(plain[some])

        copies |= _spread(team, away, plain.shape, plain.dtype, part)
    return DeviceRows(team, copies, ELEMENT_TYPES[matrix.type], matrix.dtype)


def _spread(
    team: Team,
    modules: Sequence[Module],
    shape: tuple[int, int],
    dtype: Any,
    part: Callable[[slice], Any],
) -> dict[int, Any]:
    """Return copies on some devices of a matrix that comes in parts."""
    copies, place = {}, team.here()
    step = max(1, _COPIED // max(1, shape[1] * dtype.itemsize))
    for module in modules:
        with place.on(module):
            whole = team.arrays.empty(shape, dtype)
            for start in range(0, shape[0], step):
                some = slice(start, min(start + step, shape[0]))
                whole[some] = part(some)
        copies[module.device.number] = whole
    return copies


def survey(team: Team, block: Any) -> tuple[Any, Any, int]:
    """Return exponents and squares of a block's rows, and its first bad one, or -1."""
    place, rows = team.here(), len(block)
    modules = team.modules if isinstance(block, Block) else (place.module,)
    for module in modules:
        with place.on(module):
            lines = lines_of(team, module, block)
            if lines.exponents is None:
                lines = lines._replace(
                    exponents=team.arrays.empty(rows, np.int32),
                    squares=team.arrays.empty(rows, np.float64),
                )
            first = team.arrays.full(2, rows, np.int32)
            module.launch(
                "survey", (ceil(rows / 32),), rows=rows, depth=block.shape[1], first=first,
                **lines.arguments(),
            )  # fmt: skip
            place.synchronize(module)
            if module is place.module:
                found = lines.exponents.get(), lines.squares.get()
                bad = int(first.get().min())
    return *found, bad if bad < rows else -1
