"""A launch's arguments, looked at: numbers of the very types, arrays that lie where kernels look.

Quickly: a call launches thousands of kernels, each with up to twenty arguments.
"""

from __future__ import annotations

import math
import operator
from functools import cache
from typing import Any

import numpy as np

from .sources import signatures


def checked(kernel: str, device: Any, arguments: dict[str, Any]) -> tuple[Any, ...]:
    """Return the arguments of a kernel in order, numbers in the types of their parameters.

    Raises
    ------
    TypeError
        If an argument is missing, unknown or not what the signature says.
    ValueError
        If an array lies on another device or is not laid out as its strides say.
    """
    parameters = _parameters(kernel)
    if arguments.keys() != parameters.keys():
        wrong = ", ".join(sorted(set(parameters) ^ set(arguments)))
        names = ", ".join(parameters)
        raise TypeError(f"{kernel}: must be given {names}, not so: {wrong}")
    values = []
    for parameter, (name, kind, is_array) in parameters.items():
        value = arguments[parameter]
        if not is_array:
            value = value if type(value) is kind else scalar(name, value, kind)
        else:
            check_place(name, value, device)
            if kind is None:
                check_rows(name, value, arguments[f"{_prefix(parameter)}stride"])
            elif value.dtype != kind:
                raise TypeError(f"{name} must be of {kind}, got {value.dtype}")
            elif not value.flags.c_contiguous:
                raise ValueError(f"{name} must be C-contiguous, got strides {value.strides}")
        values.append(value)
    return tuple(values)


@cache
def _parameters(kernel: str) -> dict[str, tuple[str, Any, bool]]:
    """Return each parameter's name in messages, type (None: an array of any) and kind."""
    return {
        p.name: (
            f"{kernel}: {p.name}",
            np.dtype(p.type) if p.pointer and p.type is not None else p.type,
            p.pointer,
        )
        for p in signatures()[kernel].parameters
    }


def check_place(name: str, value: Any, device: Any) -> None:
    """Check that a value is an array that lies on the device."""
    if not isinstance(value, device.arrays.ndarray):
        raise TypeError(f"{name} must be an array on the device, got {type(value).__name__}")
    if value.data.device_id != device.number:
        number = value.data.device_id
        raise ValueError(f"{name} must lie on device {device.number}, got device {number}")


def check_rows(name: str, array: Any, stride: Any) -> None:
    """Check that rows of any type lie `stride` elements apart, each in one piece."""
    if not array.size:
        return
    size = array.dtype.itemsize
    if array.ndim != 2 or (array.shape[1] > 1 and array.strides[1] != size):
        raise ValueError(f"{name} must be rows, each in one piece, got strides {array.strides}")
    if len(array) > 1 and array.strides[0] != operator.index(stride) * size:
        raise ValueError(f"{name} must have rows {stride} apart, got strides {array.strides}")


def _prefix(name: str) -> str:
    return "" if name == "data" else f"{name}_"


def scalar(name: str, value: Any, kind: Any) -> Any:
    """Return a number of a parameter's type; only one that this type holds exactly."""
    limits = _integer_limits(kind)
    if limits is not None:
        number = operator.index(value)
        if not limits[0] <= number <= limits[1]:
            raise TypeError(f"{name} must be of {kind.__name__}, got {number}")
        return kind(number)
    if not isinstance(value, float | int | np.floating):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    largest = _LARGEST.get(kind, math.inf)
    beyond = not -largest <= value <= largest and not math.isinf(value)
    if beyond or float(cast := kind(value)) != float(value):
        raise TypeError(f"{name} must be a {kind.__name__}, got {float(value)!r} between two")
    return cast


_LARGEST: dict[Any, float] = {np.float16: 65504.0, np.float32: float(np.finfo(np.float32).max)}


@cache
def _integer_limits(kind: Any) -> tuple[int, int] | None:
    if not issubclass(kind, np.integer):
        return None
    limits = np.iinfo(kind)
    return int(limits.min), int(limits.max)
