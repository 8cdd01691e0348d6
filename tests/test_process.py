"""The process around a call: its threads, children, environment, arithmetic mode and signals."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import oracles
from helpers import glibc_on_x86_64, in_new_process, listen_to_interrupts, output_of
from superpos_fast import coherence

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads what only Linux tells")

ANSWER = """
import sys
import numpy as np
from superpos_fast import coherence
table = np.load(sys.argv[1])
record = coherence(table, return_pair=True)
print(record.value.hex(), record.i, record.j, record.run.threads, record.run.backend)
"""


@pytest.fixture(scope="module")
def table():
    rows = np.random.default_rng(0).standard_normal((700, 60)).astype(np.float32)
    rows[600] = rows[88] + np.float32(1e-3)
    return rows


@pytest.fixture
def saved(table, tmp_path):
    np.save(tmp_path / "table.npy", table)
    return tmp_path / "table.npy"


@pytest.fixture(scope="module")
def answer(table):
    value, i, j = oracles.coherence(table)
    return [value.hex(), str(i), str(j)]


# Import


def test_import_loads_and_starts_nothing():
    program = """
import os, sys, threading
import numpy
def tasks():
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
before = tasks()
import superpos_fast
heavy = {"numba", "llvmlite", "scipy", "tqdm", "matplotlib", "dask", "cupy", "torch", "typer"}
print(tasks() - before, threading.active_count(), sorted(heavy & set(sys.modules)))
"""
    assert output_of(program) == ["0", "1", "[]"]


def test_no_threads_are_left(table):
    before = threading.active_count()
    coherence(table, threads=8)
    assert threading.active_count() == before


# Callers side by side


def test_threads_call_at_once(table):
    questions = [(table[:rows, :depth]) for rows in (5, 300, 700) for depth in (1, 33, 60)] * 4
    expected = [coherence(question, return_pair=True) for question in questions]
    with ThreadPoolExecutor(8) as callers:
        found = callers.map(lambda q: coherence(q, return_pair=True, threads=2), questions)
        assert list(found) == expected


def test_threads_make_the_first_call_at_once(saved, answer):
    """Compiling, or reading what was compiled, happens in eight threads at a time."""
    program = """
import sys, threading
import numpy as np
from concurrent.futures import ThreadPoolExecutor
from superpos_fast import coherence
table = np.load(sys.argv[1])
together = threading.Barrier(8)
def call(kind):
    together.wait()
    return coherence(table.astype(kind), return_pair=True)
with ThreadPoolExecutor(8) as callers:
    for record in callers.map(call, [np.float32, np.float64] * 4):
        print(record.value.hex(), record.i, record.j)
"""
    assert output_of(program, saved) == answer * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_after_fork(saved, answer):
    program = """
import os, sys, warnings
import numpy as np
from superpos_fast import coherence
def show():
    record = coherence(table, return_pair=True, threads=2)
    # In one write: two processes share the pipe.
    os.write(1, f"{record.value.hex()} {record.i} {record.j}\\n".encode())
table = np.load(sys.argv[1])
show()
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads alive
child = os.fork()
show()
if child:
    assert os.waitpid(child, 0)[1] == 0
else:
    os._exit(0)
"""
    assert output_of(program, saved, timeout=120) == answer * 3


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_in_other_processes(saved, answer, method, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"""
import multiprocessing, sys
import numpy as np
from superpos_fast import coherence
def call(table):
    return coherence(table, return_pair=True, threads=2)
if __name__ == "__main__":
    table = np.load(sys.argv[1])
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        for record in [*pool.map(call, [table, table]), call(table)]:
            print(record.value.hex(), record.i, record.j)
""")
    process = subprocess.run(
        [sys.executable, script, saved], capture_output=True, text=True, timeout=240, check=False
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == answer * 3


# Environment


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"NUMBA_NUM_THREADS": "1"}, "1"),
        ({"OMP_NUM_THREADS": "1"}, "1"),
        ({"OMP_NUM_THREADS": "1,2"}, "1"),
        ({"OMP_NUM_THREADS": ""}, None),
    ],
    ids=str,
)
def test_environment_limits_the_threads(saved, answer, environment, threads):
    clean = {"NUMBA_NUM_THREADS": None, "OMP_NUM_THREADS": None}
    words = output_of(ANSWER, saved, environment=clean | environment)
    assert words[:3] == answer
    assert threads in (None, words[3])


@LINUX
def test_affinity_limits_the_threads(saved, answer):
    program = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n" + ANSWER
    assert output_of(program, saved)[:4] == [*answer, "1"]


@LINUX
def test_no_more_threads_than_processors(table):
    run = coherence(table, return_pair=True).run
    assert 1 <= run.threads <= len(os.sched_getaffinity(0))


def test_generic_processor(saved, answer, tmp_path):
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(tmp_path)}
    assert output_of(ANSWER, saved, environment=generic)[:3] == answer


def test_without_compilation(tmp_path):
    few = np.random.default_rng(1).standard_normal((60, 20)).astype(np.float32)
    np.save(tmp_path / "few.npy", few)
    words = output_of(ANSWER, tmp_path / "few.npy", environment={"NUMBA_DISABLE_JIT": "1"})
    value, i, j = oracles.coherence(few)
    assert words[:3] == [value.hex(), str(i), str(j)]
    assert words[4] == "reference"


# Arithmetic mode

FLUSH = 0x8040  # flush results to zero, take denormal operands for zero


class Environment:
    """This thread's floating-point environment, where MXCSR is its last word."""

    def __init__(self):
        self.library = ctypes.CDLL(None)
        self.bytes = (ctypes.c_uint32 * 8)()

    @property
    def mode(self):
        assert self.library.fegetenv(self.bytes) == 0
        return self.bytes[7]

    @mode.setter
    def mode(self, value):
        assert self.library.fegetenv(self.bytes) == 0
        self.bytes[7] = value
        assert self.library.fesetenv(self.bytes) == 0


@glibc_on_x86_64
@pytest.mark.parametrize("options", [{}, {"threads": 3}, {"backend": "reference"}], ids=str)
def test_flush_to_zero(options):
    """A caller that flushes subnormals gets every answer right, and its mode back."""
    rng = np.random.default_rng(2)
    digits = rng.integers(1, 8, (40, 9)) * rng.choice([-1, 1], (40, 9))
    sides = np.array([[1.0, 2.0**-530, 0.0], [2.0**-530, 0.0, 1.0], [0.0, 2.0**-520, 1.0]])
    tables = [
        digits * 2.0**-1074,
        (digits * 2.0**-149).astype(np.float32),
        (digits * 2.0**-24).astype(np.float16),
        np.concatenate([digits * 2.0**-1074, digits[::-1] * 2.0**1000]),
        sides[:2] * np.array([1.0, 2.0**-510, 0.0]),
        sides[[0, 2]] * np.array([1.0, 1.0, 1.0]),
    ]
    expected = [oracles.coherence(table) for table in tables]
    found, modes = [], []

    def flushing_caller():
        environment = Environment()
        environment.mode |= FLUSH
        for table in tables:
            found.append(coherence(table, return_pair=True, **options))
            modes.append(environment.mode & FLUSH)

    caller = threading.Thread(target=flushing_caller)
    caller.start()
    caller.join()
    assert modes == [FLUSH] * len(tables)
    assert [(record.value, record.i, record.j) for record in found] == expected
    assert 0 < expected[-1].value < np.finfo(float).tiny


IN_MODE = """
import ctypes, sys
import numpy as np
words = (ctypes.c_uint32 * 8)()
library = ctypes.CDLL(None)
library.fegetenv(words)
words[7] = words[7] & ~int(sys.argv[1], 0) | int(sys.argv[2], 0)
library.fesetenv(words)
from superpos_fast import coherence
table = np.zeros((900, 3))
table[::3], table[1::3] = [1, 2, 3], [3, 0, -1]
print(coherence(table[:2]).hex(), coherence(table, zero="skip"))
"""


@glibc_on_x86_64
def test_compiled_under_flush_to_zero(tmp_path):
    """What Python itself folds and caches under that mode is no constant of ours."""
    for clear, put in (0, FLUSH), (0, 0):
        words = output_of(IN_MODE, clear, put, environment={"PYTHONPYCACHEPREFIX": str(tmp_path)})
        assert words == [(0.0).hex(), "1.0"]


@glibc_on_x86_64
def test_trapped_exceptions():
    """Rows left out divide 0 by 0; a caller that traps that is not killed."""
    assert output_of(IN_MODE, 0x280, 0)[1] == "1.0"


# Signals


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_interrupt():
    program = """
import sys, threading
import numpy as np
from superpos_fast import coherence
table = np.random.default_rng(0).standard_normal((100_000, 512), dtype=np.float32)
coherence(table[:1000])
before = threading.active_count()
def report(done, total, first=[True]):
    if first.pop() if first else False:
        print("started", flush=True)
try:
    coherence(table, progress=report)
except KeyboardInterrupt:
    print("interrupted", threading.active_count() - before, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=listen_to_interrupts,
    ) as process:
        try:
            assert process.stdout.readline() == "started\n"
            process.send_signal(signal.SIGINT)
            sent = time.perf_counter()
            assert process.stdout.readline() == "interrupted 0\n"
            assert time.perf_counter() - sent < 3
            assert process.wait(timeout=5) == 0
        finally:
            process.kill()


# Memory

PEAK = """
import sys
import numpy as np
from superpos_fast import coherence
def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) << 10
rows, depth, kind, memory = sys.argv[1:]
rng = np.random.default_rng(0)
table = rng.standard_normal((int(rows), int(depth)), dtype=np.float32).astype(kind)
# The same call: a smaller one would leave kernels, those of codes, to be compiled later.
coherence(table, memory=memory, threads=2)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = status("VmRSS")
coherence(table, memory=memory, threads=2)
print(status("VmHWM") - before)
"""


@LINUX
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="cannot reset the peak")
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("rows", "depth", "memory"), [(8000, 2048, "16MiB"), (40_000, 64, "8MiB")])
def test_peak_memory(rows, depth, memory, kind):
    """The interpreter's own needs, thread stacks among them, get 2 MiB."""
    # Without a fixed threshold, glibc keeps what the warming call freed, and the peak hides in it.
    freeing = {"MALLOC_MMAP_THRESHOLD_": "65536"}
    (peak,) = output_of(PEAK, rows, depth, kind, memory, environment=freeing)
    assert int(peak) <= (int(memory[:-3]) + 2) << 20


def test_failures_are_seen():
    """The helper of this page does not hide a failing program."""
    assert in_new_process("raise SystemExit(3)").returncode == 3
