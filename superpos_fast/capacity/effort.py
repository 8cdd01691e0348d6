"""The keywords of experiments that say how to compute, never what."""

from __future__ import annotations

from typing import TypedDict, cast

from ..execution import Execution, Progress, Resources, check_keywords, resources


class Effort(TypedDict, total=False):
    """Keywords of experiments, as of `superpos_fast.Execution`.

    Attributes
    ----------
    threads : int or None
        Threads to use; None for as many as the process may use.
    memory : int, str or None
        Cap in bytes, or as "2GiB", on what is allocated.
    progress : bool or callable
        True shows a progress bar; a function is called with (done, in all).
    backend : str
        "auto", "cpu" or "reference"; where pairs of given or random vectors are all that is
        looked at (`sample_coherence`, `readout`) also "cuda".
    """

    threads: int | None
    memory: int | str | None
    progress: Progress
    backend: str


def resources_of(effort: Effort) -> Resources:
    """Check the keywords and fill in the defaults."""
    check_keywords(effort, Effort)
    return resources(cast("Execution", effort))


def quietly(effort: Effort) -> Execution:
    """Return the keywords for what is a part of an experiment, which has the progress itself."""
    return cast("Execution", {**effort, "progress": False})
