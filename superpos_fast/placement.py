"""Where rows are held while devices work on them, and where results are laid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .blocks import Source
from .kernels.cuda.inputs import OnDevice
from .maps import ArrayRows
from .plan import Plan
from .protocols import Devices


def laying(devices: Devices | None, home: int | None) -> Callable[[Any], Any]:
    """Return what lays arrays of results where the vectors came from: the `home` device, if any."""
    if devices is None or home is None:
        return lambda array: array
    return lambda array: devices.lay(array, home)


def held(
    sides: list[Source],
    devices: Devices,
    room: int,
    planned: Callable[[int, int], Plan],
) -> tuple[list[Source], Plan, int]:
    """Return the sources held on devices, the plan for what memory is left, and how much that is.

    An array of the host's that would take more than half of it is left there, and what comes by
    blocks is brought by blocks.
    """
    plan = planned(room, devices.streams)
    placed: list[Source] = []
    for side in sides:
        on_host = isinstance(side, ArrayRows)
        matrix = side.array if isinstance(side, ArrayRows) else side
        if not (on_host or isinstance(side, OnDevice)):
            placed.append(side)
            continue
        left = room - devices.size(matrix)
        try:
            smaller = planned(left, devices.streams)
        except ValueError:
            if not on_host:
                raise
            left = 0
        if on_host and left < room // 2:
            placed.append(side)
        else:
            placed.append(devices.adopt(matrix))
            plan, room = smaller, left
    return placed, plan, room
