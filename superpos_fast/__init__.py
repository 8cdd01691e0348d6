"""Angle statistics of large sets of vectors: exact, without the Gram matrix."""

from . import data
from .execution import Execution
from .results import Coherence, Run
from .statistics import coherence

__all__ = ["Coherence", "Execution", "Run", "coherence", "data"]
__version__ = "0.1.0"
