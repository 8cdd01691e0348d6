"""Angle statistics of large sets of vectors: exact, without the Gram matrix."""

__version__ = "0.1.0"

from . import capacity, data, plot, sae
from .alignment import BasisAlignment, Neurons, basis_alignment, neurons
from .capacity.welch import welch_bound
from .closest import babel, coherence, mmcs, mutual_nearest, nearest
from .distribution import histogram, mean_cosine, quantile
from .division import merge
from .estimation import Estimate, estimate
from .execution import Checkpoint, Execution
from .generated import random_rows, rows
from .incremental import Incremental
from .matching import match
from .moments import dimensionality, frame_potential, interference, rms_cosine
from .overview import AngleStatistics, describe
from .parts import Interrupted, Part
from .reports import Report, report
from .results import Certificate, Coherence, Match, Nearest, Overlap, Pairs, Run, Tolerance
from .selection import count, pairs, within_tolerance

__all__ = [
    "AngleStatistics",
    "BasisAlignment",
    "Certificate",
    "Checkpoint",
    "Coherence",
    "Estimate",
    "Execution",
    "Incremental",
    "Interrupted",
    "Match",
    "Nearest",
    "Neurons",
    "Overlap",
    "Pairs",
    "Part",
    "Report",
    "Run",
    "Tolerance",
    "babel",
    "basis_alignment",
    "capacity",
    "coherence",
    "count",
    "data",
    "describe",
    "dimensionality",
    "estimate",
    "frame_potential",
    "histogram",
    "interference",
    "match",
    "mean_cosine",
    "merge",
    "mmcs",
    "mutual_nearest",
    "nearest",
    "neurons",
    "pairs",
    "plot",
    "quantile",
    "random_rows",
    "report",
    "rms_cosine",
    "rows",
    "sae",
    "welch_bound",
    "within_tolerance",
]
