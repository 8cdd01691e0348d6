"""How many nearly perpendicular directions fit, by theory and by experiment.

Theory, in logarithms, up to a million dimensions: `bounds` (rigorous, from both sides),
`coherence_floor` (the least coherence that n lines must have), `null` (what chance alone gives),
`frames` (sets of lines whose cosines are known exactly).

Experiments, each reproducible from a seed: `sample_coherence` (random directions against the null
model), `greedy` (random sequential adsorption), `pack` (lines moved apart as far as they go),
`readout` (features superposed and read back), and `sweep`, a table of all but the last two.

Names are imported when they are asked for, so that `import superpos_fast` takes no longer for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import frames as frames
    from .adsorption import Greedy as Greedy
    from .adsorption import greedy as greedy
    from .bracket import Bounds as Bounds
    from .bracket import BoundsTable as BoundsTable
    from .bracket import bounds as bounds
    from .chance import Maximum as Maximum
    from .chance import Moments as Moments
    from .chance import Null as Null
    from .chance import null as null
    from .effort import Effort as Effort
    from .features import Readout as Readout
    from .features import readout as readout
    from .floors import CoherenceFloor as CoherenceFloor
    from .floors import coherence_floor as coherence_floor
    from .packing import Packing as Packing
    from .packing import pack as pack
    from .sampling import CoherenceSample as CoherenceSample
    from .sampling import sample_coherence as sample_coherence
    from .search import Milestone as Milestone
    from .tables import Measurement as Measurement
    from .tables import Sweep as Sweep
    from .tables import sweep as sweep

# Rooms have other names than functions, which they would hide.
_ROOMS = {
    "adsorption": ("Greedy", "greedy"),
    "bracket": ("Bounds", "BoundsTable", "bounds"),
    "chance": ("Maximum", "Moments", "Null", "null"),
    "effort": ("Effort",),
    "features": ("Readout", "readout"),
    "floors": ("CoherenceFloor", "coherence_floor"),
    "packing": ("Packing", "pack"),
    "sampling": ("CoherenceSample", "sample_coherence"),
    "search": ("Milestone",),
    "tables": ("Measurement", "Sweep", "sweep"),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = ["frames", *_HOMES]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "frames":
            return import_module(".frames", __name__)
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
