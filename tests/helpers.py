"""What several rooms' tests share."""

import math
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import oracles
from superpos_fast import Coherence, cli, coherence
from superpos_fast.capacity import frames

LARGEST_CAP = 1 << 30
needs_compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="about compiled kernels")
glibc_on_x86_64 = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc",
    reason="knows how glibc lays out the mode of x86-64 only",
)


class Exporter:
    """An array that speaks DLPack and nothing else."""

    CPU = (1, 0)

    def __init__(self, array, device=CPU):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        if self.device != self.CPU:
            raise BufferError("This array lies elsewhere.\nCopy it first.")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device


def gaussian(rows, depth, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, depth), dtype=np.float32)


def whole_e6():
    """The roots of E6 in eight whole numbers, with cosines that are exact: `frames` has six."""
    rows = frames.e8().array()
    hexagon = np.array([[1] * 8, [2, 2, 0, 0, 0, 0, 0, 0]])
    return rows[(rows.astype(int) @ hexagon.T == 0).all(axis=1)]


def whole_simplex(n):
    """n vectors in n whole numbers of rank n - 1, every cosine exactly -1 / (n - 1)."""
    return n * np.eye(n, dtype=np.int64) - 1


def few(two):
    """The first rows of two tables."""
    return [table[:90] for table in two]


def smallest_memory(vectors, other=None, **options) -> int:
    """The smallest cap that is accepted, as the refusal of a smaller one states it."""
    with pytest.raises(ValueError, match=r"^memory\b.*\bat least [0-9]+ bytes") as refusal:
        coherence(vectors, other, **(options | {"memory": 1}))
    return int(re.search(r"at least (\d+) bytes", str(refusal.value))[1])


def caps(vectors, other=None, fractions=(0.0, 0.05, 0.2, 1.0), **options) -> list[int]:
    """Caps between the smallest (0) and 1 GiB (1), evenly spread over the orders of magnitude."""
    least = smallest_memory(vectors, other, **options)
    return [round(least * max(1.0, LARGEST_CAP / least) ** part) for part in fractions]


def check(vectors, other=None, *, signed=False, zero="raise", **execution) -> Coherence:
    """Compare with the oracle, bit for bit."""
    question = {"signed": signed, "zero": zero}
    record = coherence(vectors, other, return_pair=True, **question, **execution)
    expected = oracles.coherence(vectors, other, **question)
    assert (record.value, record.i, record.j) == expected
    assert math.copysign(1.0, record.value) == math.copysign(1.0, expected.value)
    return record


def listen_to_interrupts() -> None:
    """For a child's `preexec_fn`: what a shell starts in the background ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def check_refusal(capsys, arguments: str, reason: str) -> None:
    """A mistake on the command line costs one line, and the exit status 2."""
    assert cli.main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("superpos-fast: ")
    assert err.count("\n") == 1
    assert reason in err


def in_new_process(
    program: str, *arguments, environment=None, folder=None, timeout=240
) -> subprocess.CompletedProcess:
    """Run Python source in a process of its own; `environment` maps a name to None to remove it."""
    variables = {**os.environ, **(environment or {})}
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={name: value for name, value in variables.items() if value is not None},
        cwd=folder or Path(sys.executable).parent,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def output_of(program: str, *arguments, **options) -> list[str]:
    """The words that a program prints when all goes well."""
    process = in_new_process(program, *arguments, **options)
    assert process.returncode == 0, process.stderr
    return process.stdout.split()


def stop_after(calls):
    """Return a progress function that stops the run when it is called for that time."""

    def progress(done, total):
        nonlocal calls
        calls -= 1
        return calls > 0

    return progress
