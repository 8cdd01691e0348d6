"""How many nearly perpendicular directions fit: by theory and by experiment."""

from . import frames
from .bounds import Bounds, BoundsTable, bounds
from .floors import CoherenceFloor, coherence_floor
from .greedy import Greedy, greedy
from .null import Maximum, Moments, Null, null
from .readout import Readout, readout
from .sampling import CoherenceSample, sample_coherence
from .sweep import Measurement, Sweep, sweep

__all__ = [
    "Bounds",
    "BoundsTable",
    "CoherenceFloor",
    "CoherenceSample",
    "Greedy",
    "Maximum",
    "Measurement",
    "Moments",
    "Null",
    "Readout",
    "Sweep",
    "bounds",
    "coherence_floor",
    "frames",
    "greedy",
    "null",
    "readout",
    "sample_coherence",
    "sweep",
]
