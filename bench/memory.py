"""The most memory that this process has held, and how to start counting anew."""

import sys
from contextlib import suppress
from pathlib import Path


def restart_peak_memory() -> None:
    """Linux only; elsewhere the peak includes what the start of the process took."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """The most bytes this process has held. Not ru_maxrss where avoidable: it outlives exec."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
