"""The execution keywords, the same for every public function, and their defaults."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from .checks import check_choice, check_integer, shown

Progress = bool | Callable[[int, int], object]

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SCREENS = ("auto", "deterministic", "off")
_LEAST_DEFAULT_MEMORY = 256 * 2**20
_DEFAULT_MEMORY_PER_ROW = 64


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is kept, and how often.

    Parameters
    ----------
    path : str or os.PathLike
        A file: made if it is not there, else what the run goes on from.
    every : float
        Seconds of work that a crash may cost.  It is written less often if writing takes more than
        a tenth of that.

    Raises
    ------
    TypeError, ValueError
        For a path or a number of seconds that is none.

    Notes
    -----
    The file is written beside its place and renamed, so that there is a whole one at any moment.
    It holds what was found so far, how far the run is, and what it is about: the vectors (a
    checksum of their numbers, or their generator's ``key``), the parameters, this package's version
    and the plan.  If any of these differ the file is refused, and left alone.
    """

    path: str | os.PathLike[str]
    every: float = 30.0

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | os.PathLike):
            raise TypeError(f"checkpoint: must be a path or a Checkpoint, got {self.path!r}")
        if isinstance(self.every, bool) or not isinstance(self.every, int | float):
            raise TypeError(f"every: must be a number of seconds, got {self.every!r}")
        if not self.every >= 0.0:
            raise ValueError(f"every: must be at least 0 seconds, got {self.every}")


class Execution(TypedDict, total=False):
    """Keywords that say how to compute, never what.

    Attributes
    ----------
    threads : int or None
        Threads to use; None for as many as the process may use (processor affinity, control-group
        quota, ``NUMBA_NUM_THREADS`` and ``OMP_NUM_THREADS``, whichever is least).
    memory : int, str or None
        Cap in bytes (or "512MiB", "2GB") on what is allocated beyond the input;
        None for max(256 MiB, 64 bytes a row).
    progress : bool or callable
        True shows a progress bar; a function is called with (pairs done, pairs in all), and stops
        the run by returning False (see `Interrupted`).
    backend : str or distributed.Client
        "auto", "cpu", "cuda" (NVIDIA devices, through CuPy) or "reference" (plain NumPy: slow); all
        have the same answers, and "auto" is "cuda" for vectors that lie on a device.  Or a client
        of dask, whose workers share the work, as they also do in its ``with``.
    devices : int, sequence of int or None
        Of "cuda": which; None for the one that vectors lie on, or the current one.  `memory` is
        then a cap on each device, None for 80 % of what is free; each has two threads of the
        host's, whatever `threads` says.  Where vectors lie on a device, arrays of results are
        CuPy's, on the same device, and those of `Nearest` and `Pairs` too; what other records hold
        is NumPy's.
    screen : str
        What pairs may be ruled out by, before float32: "auto" takes codes of 8 bits and fewer,
        rounded at random, where that is likely to pay, and then errs with a probability below 1e-12
        a call; "deterministic" takes codes with bounds that hold for certain; "off" takes none.
        Of "cuda" see `coherence`.
    screen_seed : int
        Of that random rounding, at least 0; no part of the answer.
    checkpoint : str, os.PathLike, Checkpoint or None
        File in which the run is kept, every 30 seconds or as `Checkpoint` says, and from which it
        goes on if it is there already.
    shard : (int, int) or None
        (k, K), 0 <= k < K: look only at the k-th of K shares of the pairs, and return a `Part`; all
        K together make the answer, see `merge`.
    tensor : str or None
        Which 2-d tensor to read of a file that came as a path; needed where it has several.
    """

    threads: int | None
    memory: int | str | None
    progress: Progress
    backend: Any
    devices: int | Sequence[int] | None
    screen: str
    screen_seed: int
    checkpoint: str | os.PathLike[str] | Checkpoint | None
    shard: tuple[int, int] | None
    tensor: str | None


@dataclass(frozen=True)
class Resources:
    """Checked execution keywords; `memory` is None where the default applies."""

    threads: int
    memory: int | None
    progress: Progress
    backend: str
    devices: tuple[int, ...] | None
    screen: str
    screen_seed: int
    checkpoint: Checkpoint | None
    shard: tuple[int, int] | None
    tensor: str | None
    client: Any
    most_threads: int | None

    def memory_for(self, rows: int) -> int:
        """Return the cap in bytes for a computation on `rows` rows."""
        if self.memory is not None:
            return self.memory
        return max(_LEAST_DEFAULT_MEMORY, _DEFAULT_MEMORY_PER_ROW * rows)


def check_keywords(given: Mapping[str, Any], kind: type = Execution) -> None:
    """Refuse what is no execution keyword, or none of another `kind`."""
    unknown = sorted(set(given) - set(kind.__annotations__))
    if unknown:
        known = ", ".join(kind.__annotations__)
        raise TypeError(
            f"{unknown[0]}: must be a keyword in the function's signature or one of {known}, "
            "got an unknown one"
        )


def resources(execution: Execution) -> Resources:
    """Check the execution keywords and fill in the defaults."""
    check_keywords(execution)
    backend = execution.get("backend", "auto")
    client = None
    if hasattr(backend, "submit") and hasattr(backend, "scheduler_info"):
        backend, client = "auto", backend
    if not isinstance(backend, str):
        raise TypeError(f"backend: must be a name, got {shown(backend)}")
    progress = execution.get("progress", False)
    if not (isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"progress: must be True, False or a function, got {shown(progress)}")
    screen = check_choice(execution.get("screen", "auto"), "screen", *_SCREENS)
    seed = check_integer(execution.get("screen_seed", 0), "screen_seed")
    if seed < 0:
        raise ValueError(f"screen_seed: must be at least 0, got {seed}")
    tensor = execution.get("tensor")
    if tensor is not None and not isinstance(tensor, str):
        raise TypeError(f"tensor: must be a name, got {tensor!r}")
    return Resources(
        _threads(execution.get("threads")),
        _memory(execution.get("memory")),
        progress,
        backend,
        _devices(execution.get("devices")),
        screen,
        seed,
        as_checkpoint(execution.get("checkpoint")),
        _shard(execution.get("shard")),
        tensor,
        client,
        execution.get("threads"),
    )


def _devices(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    numbers = value if isinstance(value, list | tuple | range) else [value]
    devices = tuple(check_integer(number, "devices") for number in numbers)
    if not devices or min(devices) < 0 or len(set(devices)) < len(devices):
        raise ValueError(f"devices: must be different numbers from 0 on, got {shown(value)}")
    return devices


def as_checkpoint(value: Any) -> Checkpoint | None:
    """Return a checkpoint that came as one, or as its path."""
    if value is None or isinstance(value, Checkpoint):
        return value
    return Checkpoint(value)


def _shard(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    if not (isinstance(value, tuple) and len(value) == 2 and all(type(n) is int for n in value)):
        raise TypeError(f"shard: must be a pair of whole numbers (k, K), got {value!r}")
    if not 0 <= value[0] < value[1]:
        raise ValueError(f"shard: must be (k, K) with 0 <= k < K, got {value}")
    return value


def _threads(value: int | None) -> int:
    if value is None:
        return available_threads()
    threads = check_integer(value, "threads")
    if threads < 1:
        raise ValueError(f"threads: must be at least 1, got {value}")
    return threads


def _memory(value: int | str | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, str):
        return _parse_size(value)
    try:
        size = check_integer(value, "memory")
    except TypeError:
        known = "bytes or a size like '2GiB'"
        raise TypeError(f"memory: must be {known}, got {shown(value)}") from None
    if size < 1:
        raise ValueError(f"memory: must be at least 1 byte, got {value}")
    return size


def _parse_size(text: str) -> int:
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([kmgt]?)(i?)b?\s*", text, re.IGNORECASE)
    if match is None or (match[3] and not match[2]):
        raise ValueError(f"memory: must be bytes or a size like '2GiB', got {text!r}")
    unit = match[2].lower()
    size = int(float(match[1]) * (_BINARY_UNITS if match[3] else _UNITS)[unit])
    if size < 1:
        raise ValueError(f"memory: must be at least 1 byte, got {text!r}")
    return size


def available_threads() -> int:
    """Return how many threads this process may use at once."""
    limits = [_affinity(), _quota()]
    for variable in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        first = os.environ.get(variable, "").split(",")[0].strip()
        if first.isdigit() and int(first) > 0:
            limits.append(int(first))
    return min(limits)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota() -> int:
    """Return the control group's processor quota, rounded up; 2**20 where there is none."""
    unlimited = 1 << 20
    for group in _control_groups():
        try:
            if (group / "cpu.max").exists():
                quota, period = (group / "cpu.max").read_text().split()
            else:
                quota = (group / "cpu.cfs_quota_us").read_text().strip()
                period = (group / "cpu.cfs_period_us").read_text().strip()
            if quota not in ("max", "-1"):
                unlimited = min(unlimited, max(1, math.ceil(int(quota) / int(period))))
        except (OSError, ValueError):
            continue
    return unlimited


def _control_groups() -> list[Path]:
    """Return the folders of this process's control group and all above it, versions 1 and 2."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = Path("/sys/fs/cgroup") / ("cpu" if controllers else "")
        own = root / path.lstrip("/")
        folders += [own, *(above for above in own.parents if above.is_relative_to(root))]
    return folders
