"""Checkpoints: what is killed goes on to the same bits, and no file leads to another answer."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import superpos_fast as sf
from helpers import gaussian, listen_to_interrupts, needs_compiled, output_of, stop_after
from superpos_fast import division, store
from superpos_fast.kernels.cpu import entry
from superpos_fast.parts import Part

TABLE = gaussian(3000, 24)

QUESTIONS = {
    "coherence": lambda x, **k: sf.coherence(x, return_pair=True, **k),
    "nearest": lambda x, **k: sf.nearest(x, k=3, **k),
    "pairs": lambda x, **k: sf.pairs(x, angle=35, **k),
    "count": lambda x, **k: sf.count(x, angle=[40, 60], **k),
    "quantile": lambda x, **k: sf.quantile(x, [0.01, 0.5], **k),
    "mean_cosine": lambda x, **k: sf.mean_cosine(x, **k),
    "describe": lambda x, **k: sf.describe(x, **k),
    "estimate": lambda x, **k: sf.estimate(x, of="count", angle=60, rows=300, **k),
}


def same(one, two):
    return np.array_equal(one, two) if isinstance(one, np.ndarray) else one == two


@pytest.mark.parametrize("every", [0.0, 1000.0])
@pytest.mark.parametrize("name", QUESTIONS)
def test_stopped_again_and_again(name, every, tmp_path):
    """The run goes on from where it was each time, and its answer has the same bits."""
    ask, options = QUESTIONS[name], {"memory": "2MiB", "threads": 2}
    checkpoint = sf.Checkpoint(tmp_path / "run.ckpt", every)
    for stops in range(1, 200):
        try:
            found = ask(TABLE, checkpoint=checkpoint, progress=stop_after(2 + stops), **options)
        except sf.Interrupted:
            continue
        break
    assert stops > 1
    assert same(found, ask(TABLE, **options))
    calls = []
    again = ask(TABLE, checkpoint=checkpoint, progress=lambda *call: calls.append(call), **options)
    assert same(again, found)
    assert not calls
    assert [file.name for file in tmp_path.iterdir()] == ["run.ckpt"]


def test_progress_goes_on_from_what_was_done(tmp_path):
    options = {"checkpoint": tmp_path / "run.ckpt", "memory": "2MiB"}
    with pytest.raises(sf.Interrupted) as stopped:
        sf.coherence(TABLE, progress=stop_after(5), **options)
    calls = []
    sf.coherence(TABLE, progress=lambda *call: calls.append(call), **options)
    assert calls[0][0] > stopped.value.part.pairs > 0
    assert calls[-1] == (3000 * 2999 // 2,) * 2


def test_an_exception_leaves_what_was_known(tmp_path):
    def fail(done, total):
        if done > total // 2:
            raise StopAsyncIteration

    options = {"checkpoint": sf.Checkpoint(tmp_path / "run.ckpt", 0.0), "memory": "2MiB"}
    with pytest.raises(StopAsyncIteration):
        sf.nearest(TABLE, progress=fail, **options)
    assert Part.load(tmp_path / "run.ckpt").pairs > 0
    assert sf.nearest(TABLE, **options) == sf.nearest(TABLE)


def test_generated_rows_are_known_by_their_key(tmp_path):
    def rows(key):
        return sf.rows(3000, 24, lambda start, stop: TABLE[start:stop], key=key, block=500)

    path = tmp_path / "run.ckpt"
    with pytest.raises(sf.Interrupted):
        sf.coherence(rows("one"), checkpoint=path, progress=stop_after(2), memory="2MiB")
    with pytest.raises(ValueError, match=r"checkpoint: must be of the same vectors"):
        sf.coherence(rows("two"), checkpoint=path, memory="2MiB")
    assert sf.coherence(rows("one"), checkpoint=path, memory="2MiB") == sf.coherence(TABLE)


def test_equal_numbers_are_the_same_vectors(tmp_path):
    path = tmp_path / "run.ckpt"
    sf.coherence(TABLE, checkpoint=path)
    as_rows = sf.rows(3000, 24, lambda start, stop: TABLE[start:stop], block=177)
    for alike in (np.asfortranarray(TABLE), TABLE.astype(">f4"), as_rows):
        assert sf.coherence(alike, checkpoint=path) == sf.coherence(TABLE)


# What is refused


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda **k: sf.nearest(TABLE, k=3, **k), ["same parameters, k=3, got k=2"]),
        (lambda **k: sf.nearest(TABLE, k=2, signed=True, **k), ["signed=True, got signed=False"]),
        (lambda **k: sf.nearest(-TABLE, k=2, **k), ["same vectors", "others of the same shape"]),
        (lambda **k: sf.nearest(TABLE[1:], k=2, **k), ["got shape (3000, 24) where (2999, 24)"]),
        (lambda **k: sf.nearest(TABLE, TABLE, k=2, **k), ["(3000, 24) where (3000, 24) and"]),
        (lambda **k: sf.nearest(TABLE, k=2, zero="skip", **k), ["zero='skip'"]),
        (lambda **k: sf.nearest(TABLE, k=2, memory="2MiB", **k), ["same plan", "memory=268435456"]),
        (lambda **k: sf.nearest(TABLE, k=2, backend="reference", **k), ["backend='reference'"]),
        (lambda **k: sf.babel(TABLE, 2, **k), ["same function, babel, got nearest"]),
        (lambda **k: sf.quantile(TABLE, 0.5, **k), ["same function, None, got nearest"]),
    ],
)
def test_another_question_is_refused(ask, words, tmp_path):
    path = tmp_path / "run.ckpt"
    sf.nearest(TABLE, k=2, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"^checkpoint: must be of the same") as refused:
        ask(checkpoint=path)
    message = str(refused.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert path.read_bytes() == before


@needs_compiled
def test_tiles_in_another_order_are_refused(tmp_path, monkeypatch):
    """Processors with other registers have stripes of other widths."""
    rows, path, limits = gaussian(400, 32), tmp_path / "stopped", entry.limits
    monkeypatch.setattr(entry, "CODED_WORK", 0)
    sf.nearest(rows, checkpoint=path)
    monkeypatch.setattr(entry, "limits", lambda *what: limits(*what)._replace(stripe=16))
    with pytest.raises(ValueError, match="checkpoint: must be of the same plan, stripe=16, got"):
        sf.nearest(rows, checkpoint=path)


def test_another_version_is_refused(tmp_path, monkeypatch):
    sf.nearest(TABLE, checkpoint=tmp_path / "run.ckpt")
    monkeypatch.setattr(division, "__version__", "9.9")
    with pytest.raises(ValueError, match=r"must be of the same version, 9.9, got 0\."):
        sf.nearest(TABLE, checkpoint=tmp_path / "run.ckpt")


@pytest.mark.parametrize(
    ("checkpoint", "kind", "message"),
    [
        (3, TypeError, "checkpoint: must be a path or a Checkpoint, got 3"),
        ("no/such/folder/run.ckpt", ValueError, "checkpoint: must be in a folder that is there"),
    ],
)
def test_bad_places(checkpoint, kind, message):
    with pytest.raises(kind, match=message):
        sf.coherence(TABLE, checkpoint=checkpoint)


@pytest.mark.parametrize("every", [-1.0, float("nan"), "often", True])
def test_bad_intervals(every):
    with pytest.raises((TypeError, ValueError), match="every: must be"):
        sf.Checkpoint("run.ckpt", every)


def test_what_needs_no_pair_loop_keeps_nothing(tmp_path):
    for ask in (sf.interference, sf.neurons):
        with pytest.raises(ValueError, match="checkpoint: must be left out of what needs no pair"):
            ask(TABLE, checkpoint=tmp_path / "run.ckpt")


# Damaged files


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    path = tmp_path_factory.mktemp("halfway") / "run.ckpt"
    with pytest.raises(sf.Interrupted):
        sf.nearest(TABLE[:500], k=2, checkpoint=path, memory="2MiB", progress=stop_after(1))
    return path.read_bytes()


@pytest.mark.parametrize("seed", range(300))
def test_damaged_files_are_refused(seed, halfway, tmp_path):
    """Either the damage is where nothing is said, or the file is refused in one line."""
    rng = random.Random(seed)
    damaged = bytearray(halfway)
    if seed % 3 == 0:
        del damaged[rng.randrange(len(damaged)) :]
    elif seed % 3 == 1:
        for _ in range(rng.choice([1, 1, 8])):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    else:
        place = rng.randrange(len(damaged))
        damaged[place : place + rng.randrange(1, 64)] = rng.randbytes(rng.randrange(64))
    path = tmp_path / "run.ckpt"
    path.write_bytes(damaged)
    try:
        part = Part.load(path, "checkpoint")
    except ValueError as refusal:
        message = str(refusal)
        assert message.startswith("checkpoint: must be")
        assert "\n" not in message
        with pytest.raises(ValueError, match="checkpoint: must be"):
            sf.nearest(TABLE[:500], k=2, checkpoint=path, memory="2MiB")
        return
    path.write_bytes(halfway)
    whole = Part.load(path)
    assert (part.key, part.total) == (whole.key, whole.total)
    for one, two in zip(part.passes[0].states, whole.passes[0].states, strict=True):
        assert {name: value.tobytes() for name, value in one.items()} == {
            name: value.tobytes() for name, value in two.items()
        }


@pytest.mark.parametrize("content", [b"", b"PK", b"{}", os.urandom(999)], ids=len)
def test_files_of_others_are_refused(content, tmp_path):
    path = tmp_path / "run.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^checkpoint: must be a checkpoint, got '.*run.ckpt'"):
        sf.coherence(TABLE, checkpoint=path)
    np.save(tmp_path / "table.npy", TABLE)
    with pytest.raises(ValueError, match="no archive of arrays"):
        sf.coherence(TABLE, checkpoint=tmp_path / "table.npy")
    np.savez(
        tmp_path / "other.npz", header=np.frombuffer(json.dumps({"format": "?"}).encode(), np.uint8)
    )
    with pytest.raises(ValueError, match=r"^checkpoint: must be"):
        sf.coherence(TABLE, checkpoint=tmp_path / "other.npz")


def test_other_formats_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "FORMAT", "another")
    store.write(tmp_path / "run.ckpt", {}, {})
    monkeypatch.undo()
    with pytest.raises(ValueError, match="of another format"):
        store.read(tmp_path / "run.ckpt", "checkpoint")


# Disks


@pytest.mark.filterwarnings("default::UserWarning")
def test_a_full_disk_costs_the_checkpoint_and_nothing_else(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    checkpoint = sf.Checkpoint(tmp_path / "run.ckpt", 0.0)
    with pytest.warns(UserWarning, match="could not be written") as said:
        found = sf.nearest(TABLE, checkpoint=checkpoint, memory="2MiB")
    assert found == sf.nearest(TABLE)
    messages = [str(one.message) for one in said]
    assert len(messages) == 2
    assert "could not be written (No space left on device), and the run goes on" in messages[0]
    assert "could not be written (No space left on device) to the end" in messages[1]
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("default::UserWarning")
def test_a_disk_that_is_full_for_a_while(tmp_path, monkeypatch):
    calls, fsync = [], os.fsync

    def full_at_first(handle):
        calls.append(handle)
        if len(calls) < 3:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(store.os, "fsync", full_at_first)
    with pytest.warns(UserWarning, match="could not be written") as said:
        sf.nearest(TABLE, checkpoint=sf.Checkpoint(tmp_path / "run.ckpt", 0.0), memory="2MiB")
    assert len(said) == 1
    assert Part.load(tmp_path / "run.ckpt").pairs == 3000 * 2999 // 2


@pytest.mark.filterwarnings("default::UserWarning")
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written():
    with pytest.warns(UserWarning, match="could not be written") as said:
        assert sf.coherence(TABLE, checkpoint="/proc/run.ckpt") == sf.coherence(TABLE)
    assert len(said) == 2


# Killed and interrupted

JOB = """
import sys, threading, time
import numpy as np
import superpos_fast as sf
table = np.random.default_rng(0).standard_normal((6000, 32), dtype=np.float32)
path, every, rest = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
def slowly(done, total, first=[True]):
    if first.pop() if first else False:
        print("started", done, flush=True)
    time.sleep(rest)
before = threading.active_count()
try:
    found = sf.nearest(
        table, k=3, threads=2, memory="2MiB", progress=slowly,
        checkpoint=sf.Checkpoint(path, every),
    )
    total = sf.mean_cosine(
        table, threads=2, memory="2MiB", checkpoint=sf.Checkpoint(path + ".mean", every)
    )
    print("done", hash((found.cosines.tobytes(), found.indices.tobytes())), total.hex())
except KeyboardInterrupt:
    print("interrupted", threading.active_count() - before, flush=True)
    sys.exit(130)
"""


def start(program, *arguments, **streams):
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        **({"stdout": subprocess.PIPE, "text": True} | streams),
        env={**os.environ, "PYTHONHASHSEED": "0"},
        preexec_fn=listen_to_interrupts if os.name == "posix" else None,
    )


def undisturbed(folder):
    with start(JOB, folder / "undisturbed.ckpt", 1000, 0) as process:
        return process.stdout.read().splitlines()[-1]


def test_killed_again_and_again(tmp_path):
    """New processes, killed at random moments, until one comes to the end."""
    path, every, rng = tmp_path / "run.ckpt", 0.1, random.Random(0)
    for _ in range(3):
        with start(JOB, path, every, 0.02) as process:
            assert process.stdout.readline().startswith("started")
            time.sleep(rng.uniform(0.0, 5 * every))
            process.kill()
        if path.exists():
            Part.load(path)
    with start(JOB, path, every, 0) as process:
        assert process.stdout.read().splitlines()[-1] == undisturbed(tmp_path)


# The kernels are loaded once: a killed process is a fork of one that has them.
FORKS = """
import os, random, signal, sys, time
import numpy as np
import superpos_fast as sf
folder, kills, every = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
table = np.random.default_rng(0).standard_normal((6000, 32), dtype=np.float32)
options = {"k": 3, "threads": 2, "memory": "2MiB"}
expected, rng, places = sf.nearest(table, **options), random.Random(1), []

def child(ready):
    def slowly(done, total):
        nonlocal ready
        if ready is not None:
            os.write(ready, b"%d" % done)
            os.close(ready)
            ready = None
        time.sleep(every / 8)
    path = f"{folder}/run.ckpt"
    found = sf.nearest(table, checkpoint=sf.Checkpoint(path, every), progress=slowly, **options)
    if ready is not None:  # nothing was left to do
        os.write(ready, b"0")
    os._exit(0 if found == expected else 1)

for kill in range(kills):
    out, into = os.pipe()
    job = os.fork()
    if not job:
        child(into)
    os.close(into)
    places.append(int(os.read(out, 99)))
    os.close(out)
    time.sleep(rng.expovariate(0.6 / every))
    os.kill(job, signal.SIGKILL)
    _, status = os.waitpid(job, 0)
    if os.WIFEXITED(status):  # it was at its end: begin anew
        assert status == 0
        os.remove(f"{folder}/run.ckpt")
found = sf.nearest(table, checkpoint=f"{folder}/run.ckpt", **options)
print(found == expected, sum(one < two for one, two in zip(places, places[1:])))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("every", [0.03, pytest.param(1.0, marks=pytest.mark.long)])
def test_killed_thirty_times(tmp_path, every):
    """Each time the run goes on from what was written last, and once it ends with the same bits."""
    equal, further = output_of(FORKS, tmp_path, 30, every)
    assert equal == "True"
    assert int(further) >= 5


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_interrupted_script(tmp_path):
    """Ctrl-C stops within a second, with all that was done on the disk and no thread left."""
    path = tmp_path / "run.ckpt"
    with start(JOB, path, 1000, 0.05) as process:
        assert process.stdout.readline().startswith("started")
        time.sleep(0.5)
        sent = time.perf_counter()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted 0\n"
        assert time.perf_counter() - sent < 1
    assert process.returncode == 130
    part = Part.load(path)
    assert 0 < part.pairs < part.total
    with start(JOB, path, 1000, 0) as process:
        began, said = process.stdout.read().splitlines()
    assert int(began.split()[1]) > part.pairs
    assert said == undisturbed(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_interrupted_command(tmp_path):
    """The bar on the terminal says when the work has begun, and how fast it goes."""
    import fcntl
    import struct
    import termios

    np.save(tmp_path / "table.npy", gaussian(100_000, 256))
    path = tmp_path / "run.ckpt"
    command = "import sys; from superpos_fast.__main__ import main; sys.exit(main())"
    arguments = ["coherence", tmp_path / "table.npy", "--checkpoint", path, "--threads", 1]
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with start(command, *arguments, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while b"GFLOP/s" not in shown:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        sent = time.perf_counter()
        while process.poll() is None and time.perf_counter() - sent < 5:
            time.sleep(0.01)
        assert time.perf_counter() - sent < 1
    os.close(ours)
    assert process.returncode == 130
    part = Part.load(path)
    assert 0 < part.pairs < part.total


# Side by side


def test_sixteen_callers_with_jobs_of_their_own(tmp_path):
    names = list(QUESTIONS) * 2
    expected = {name: QUESTIONS[name](TABLE, threads=2) for name in QUESTIONS}
    before = threading.active_count()

    def call(place, name):
        path = tmp_path / f"{place}.ckpt" if place % 3 else None
        checkpoint = path and sf.Checkpoint(path, 0.01)
        rows = sf.rows(3000, 24, lambda start, stop: TABLE[start:stop], block=700)
        return QUESTIONS[name](rows if place % 2 else TABLE, threads=2, checkpoint=checkpoint)

    with ThreadPoolExecutor(16) as callers:
        found = list(callers.map(call, range(16), names))
    for name, answer in zip(names, found, strict=True):
        assert same(answer, expected[name]), name
    assert threading.active_count() == before
