"""How many nearly perpendicular directions fit: by theory and by experiment."""

from . import frames
from .bounds import Bounds, BoundsTable, bounds
from .floors import CoherenceFloor, coherence_floor
from .null import Maximum, Moments, Null, null

__all__ = [
    "Bounds",
    "BoundsTable",
    "CoherenceFloor",
    "Maximum",
    "Moments",
    "Null",
    "bounds",
    "coherence_floor",
    "frames",
    "null",
]
