"""Angles in degrees and the cosines that stand for them."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

import numpy as np

# Where the cosine is a number that float64 holds.
_EXACT = {0.0: 1.0, 60.0: 0.5, 90.0: 0.0, 120.0: -0.5, 180.0: -1.0}


def cosine_of(degrees: float) -> float:
    """Return the cosine of an angle, exact at 0, 60, 90, 120 and 180 degrees."""
    return _EXACT.get(degrees, math.cos(math.radians(degrees)))


def cosines_of(degrees: Any) -> Any:
    """Return the cosines of an array of angles."""
    return np.array([cosine_of(angle) for angle in np.ravel(degrees).tolist()], np.float64)


def above(cosines: Any) -> Any:
    """Return the next larger float64: what is above a cosine reaches it."""
    return np.nextafter(cosines, np.inf)


def threshold_cosines(cosine: Any, angle: Any, signed: bool) -> Any:
    """Return the cosines that thresholds stand for, of which exactly one kind is given.

    An angle is the most that two vectors' lines (`signed`: the vectors) may be apart.
    """
    if (cosine is None) == (angle is None):
        got = "neither" if cosine is None else "both"
        raise ValueError(f"cosine, angle: must be given one or the other, got {got}")
    if cosine is not None:
        return real_numbers(cosine, "cosine", -1.0 if signed else 0.0, 1.0)
    degrees = real_numbers(angle, "angle", 0.0, 180.0 if signed else 90.0)
    return cosines_of(degrees).reshape(degrees.shape)


def one_threshold(cosine: Any, angle: Any, signed: bool) -> float:
    """Return the cosine that one threshold stands for."""
    found = threshold_cosines(cosine, angle, signed)
    if found.ndim:
        name = "angle" if cosine is None else "cosine"
        raise TypeError(f"{name}: must be one number, got shape {found.shape}")
    return float(found)


def real_numbers(values: Any, name: str, least: float, most: float) -> Any:
    """Return float64 numbers between two limits, in the shape that they came in."""
    try:
        numbers = np.asarray(values)
        if numbers.dtype.kind not in "iuf" and not isinstance(values, SupportsFloat):
            raise TypeError
        numbers = numbers.astype(np.float64)
    except (TypeError, ValueError):
        kind = type(values).__name__
        raise TypeError(f"{name}: must be real numbers, got {kind} {values!r:.60}") from None
    bad = ~((numbers >= least) & (numbers <= most))
    if bad.any():
        limits = f"must be between {least:g} and {most:g}"
        raise ValueError(f"{name}: {limits}, got {np.ravel(numbers[bad])[0]:g}")
    return numbers
