"""Runs on emulated devices that are kept, divided, shared or grow; what refuses devices."""

import subprocess
import sys

import numpy as np
import pytest

import superpos_fast as sf
from driver import on_device
from superpos_fast.capacity import greedy, pack, readout, sample_coherence, sweep
from superpos_fast.kernels.cuda import entry


@pytest.fixture
def x():
    rows = np.random.default_rng(0).integers(-2, 3, (400, 23)).astype(np.float32)
    rows[::50] = 0
    return rows


def ask(x, **how):
    return sf.nearest(x, k=2, zero="skip", **how)


def stopping(after):
    return lambda done, total: done < after * total


@pytest.mark.parametrize("place", ["host", "device"])
def test_a_run_goes_on_from_its_checkpoint(devices, x, tmp_path, place):
    there = x if place == "host" else on_device(x)
    how = dict(backend="cuda", memory="1GiB", checkpoint=sf.Checkpoint(tmp_path / "run", every=0))
    with pytest.raises(sf.Interrupted) as stopped:
        ask(there, progress=stopping(0.4), **how)
    assert 0 < stopped.value.part.pairs < 400 * 399 // 2
    assert stopped.value.part.result().cosines.shape == (400, 2)
    seen = []
    found = ask(there, progress=lambda done, total: seen.append(done), **how)
    assert found == ask(x)
    assert seen[0] > 0
    # Held in blocks and in another type it is the same vectors.
    devices.setattr(entry, "_KNOWN_BYTES", 2**60)
    if place == "host":
        assert ask(x.astype(np.int8), **how) == found


def test_a_checkpoint_says_what_memory_it_was_made_with(devices, x, tmp_path):
    how = dict(backend="cuda", checkpoint=tmp_path / "run")
    ask(x, memory="64MiB", **how)
    devices.setattr(entry, "_LARGEST_SIDE", 256)  # as a device with more memory would have it
    with pytest.raises(
        ValueError, match=r"^checkpoint: must be of the same plan, .*memory=67108864"
    ):
        ask(x, memory="64MiB", **how)
    with pytest.raises(ValueError, match=r"^checkpoint: must be of the same plan, .*'cpu'.*'cuda'"):
        ask(x, checkpoint=tmp_path / "run")


def test_shards_of_devices_are_merged(devices, x):
    parts = [ask(x, backend="cuda", memory="64MiB", shard=(k, 3)) for k in range(3)]
    assert sf.merge(parts) == ask(x)


def test_vectors_on_a_device_grow_in_the_hosts_memory(devices, x):
    found = sf.Incremental(23, k=2, zero="skip", backend="cuda", devices=[0, 1])
    for start in range(0, 400, 150):
        found.add(on_device(x[start : start + 150], 1))
    assert found.nearest == ask(x)
    with pytest.raises(ValueError, match=r"^block: entries must be finite, got nan in row 1"):
        found.add(on_device(np.array([[1.0], [np.nan]]) * np.ones(23)))
    assert len(found) == 400


def test_a_cluster_has_devices_of_its_own(devices, x):
    """Its workers are other processes: what is on devices of this one stays here."""
    client = FakeClient()
    for there, how in ((on_device(x), {}), (x, {"devices": 0})):
        with pytest.raises(ValueError, match=r"^backend: must be 'auto' or 'cuda' .*, got a dask"):
            ask(there, backend=client, **how)


class FakeClient:
    """As much of a dask client as one is told by."""

    def submit(self):
        raise NotImplementedError

    scheduler_info = nthreads = submit


def test_within_a_client_devices_are_this_process_own(devices, x, monkeypatch):
    from superpos_fast import distributed

    monkeypatch.setattr(distributed, "current_client", FakeClient)
    assert ask(x, backend="cuda") == ask(x, backend="cpu")
    assert ask(on_device(x)) == ask(x, backend="cpu")


# Experiments


def test_experiments_about_given_or_random_rows(devices, x):
    how = dict(trials=3, seed=1)
    found, expected = (sample_coherence(150, 12, backend=b, **how) for b in ("cuda", "cpu"))
    assert found.values.tolist() == expected.values.tolist()
    rows = x[x.any(axis=1)]
    expected = readout(rows, [2, 5], trials=4)
    for there in rows, on_device(rows):
        found = readout(there, [2, 5], trials=4, backend="auto" if there is not rows else "cuda")
        assert found.coherence == expected.coherence
        assert found.false_alarms.tolist() == expected.false_alarms.tolist()


def test_searches_refuse_devices(devices):
    for search in (
        lambda: pack(6, 3, restarts=1, backend="cuda"),
        lambda: greedy(8, angle=60, attempts=10, backend="cuda"),
        lambda: sweep([4], [60], ["greedy"], attempts=10, backend="cuda"),
    ):
        with pytest.raises(ValueError, match=r"^backend: must be one of 'auto', .* got 'cuda'$"):
            search()


# What is imported


def test_without_devices_nothing_of_cuda_is_imported():
    program = """
import sys, numpy
import superpos_fast as sf
rows = numpy.eye(5)
sf.nearest(rows, backend="reference"), sf.coherence(rows)
names = {name.partition(".")[0] for name in sys.modules}
assert not names & {"cupy", "cupy_backends", "cupyx", "nvidia", "cuda"}, names
ours = {name for name in sys.modules if name.startswith("superpos_fast.kernels.cuda.")}
assert ours == {"superpos_fast.kernels.cuda.inputs", "superpos_fast.kernels.cuda.formats"}, ours
"""
    subprocess.run([sys.executable, "-c", program], check=True)
