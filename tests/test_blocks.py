"""Rows by blocks: from wherever they come, the answers are those of an array of these numbers."""

import logging
import threading
import time

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import superpos_fast as sf
from helpers import LARGEST_CAP, check, gaussian, output_of
from superpos_fast.blocks import BlockRows
from superpos_fast.maps import ArrayRows

TABLE = gaussian(1500, 24)
TABLE[700] = TABLE[3] * 2
HOLED = TABLE.copy()
HOLED[[0, 41, 1499]] = 0


class Sliced:
    """Shape, type and slices of rows, as chunked stores have them, one reader at a time."""

    def __init__(self, array, chunks=None):
        self.array, self.shape, self.dtype, self.chunks = array, array.shape, array.dtype, chunks
        self.reads, self._busy = [], threading.Lock()

    def __getitem__(self, rows):
        assert self._busy.acquire(blocking=False)
        self.reads.append((rows.start, rows.stop))
        time.sleep(1e-4)
        self._busy.release()
        return self.array[rows]


def generated(array, block=256):
    def generate(start, stop):
        assert start % block == 0
        assert stop == min(start + block, len(array))
        return array[start:stop]

    return sf.rows(*array.shape, generate, block=block)


def mapped(array, folder):
    np.save(folder / "table.npy", array)
    return np.load(folder / "table.npy", mmap_mode="r")


def filed(array, folder):
    mapped(array, folder)
    return str(folder / "table.npy")


def in_dask(array, folder):
    return pytest.importorskip("dask.array").from_array(array, chunks=(400, 7))


KINDS = {
    "generated": lambda array, folder: generated(array),
    "sliced": lambda array, folder: Sliced(array, (100, 24)),
    "memory map": mapped,
    "path": filed,
    "dask": in_dask,
}

QUESTIONS = {
    "coherence": lambda x, **k: sf.coherence(x, return_pair=True, **k),
    "nearest": lambda x, **k: sf.nearest(x, k=3, **k),
    "babel": lambda x, **k: sf.babel(x, 4, **k),
    "pairs": lambda x, **k: sf.pairs(x, top=50, **k),
    "count": lambda x, **k: sf.count(x, angle=[60, 80], **k),
    "histogram": lambda x, **k: sf.histogram(x, **k)[0],
    "quantile": lambda x, **k: sf.quantile(x, [0.1, 0.5], **k),
    "within_tolerance": lambda x, **k: sf.within_tolerance(x, angle=1, **k).holds,
    "mean_cosine": lambda x, **k: sf.mean_cosine(x, **k),
    "describe": lambda x, **k: sf.describe(x, **k),
    "frame_potential": lambda x, **k: sf.frame_potential(x, **k),
    "interference": lambda x, **k: sf.interference(x, **k),
    "neurons": lambda x, **k: sf.neurons(x, **k).features,
    "estimate": lambda x, **k: sf.estimate(x, of="count", angle=80, rows=100, **k),
    "mmcs": lambda x, **k: sf.mmcs(x, TABLE[:99], **k),
}


def same(one, two):
    return bool(one == two) if np.isscalar(one) or hasattr(one, "run") else equal(one, two)


def equal(one, two):
    return np.array_equal(one, two, equal_nan=one.dtype.kind == "f")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", QUESTIONS)
def test_every_function_takes_every_kind(name, kind, tmp_path):
    for array in (TABLE, HOLED):
        options = {"zero": "skip", "threads": 2}
        expected = QUESTIONS[name](array, **options)
        found = QUESTIONS[name](KINDS[kind](array, tmp_path), **options)
        assert same(found, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{"memory": "1MiB"}, {"threads": 3}, {"backend": "reference"}])
def test_with_other_rows(kind, options, tmp_path):
    few = TABLE[:200]
    expected = check(few, TABLE[100:333])
    source = KINDS[kind](TABLE[100:333], tmp_path)
    assert sf.coherence(few, source, return_pair=True, **options) == expected
    assert sf.coherence(source, few, **options) == expected.value


@given(
    block=st.integers(1, 2000),
    memory=st.integers(2**21, LARGEST_CAP),
    threads=st.integers(1, 4),
    dtype=st.sampled_from(["f2", "f4", "f8", "i2"]),
)
def test_no_block_or_cap_changes_the_answer(block, memory, threads, dtype):
    table = (TABLE[:900] * 100).astype(dtype)
    expected = sf.nearest(table, k=2)
    assert sf.nearest(generated(table, block), k=2, memory=memory, threads=threads) == expected


def test_chunks_are_read_whole_and_once():
    source = Sliced(TABLE, (100, 24))
    run = sf.coherence(source, return_pair=True).run
    assert source.reads == [(0, 1500)]
    assert run.bytes_read == 2 * TABLE.nbytes
    large = Sliced(np.zeros((30_000, 100)) + np.arange(1.0, 101.0), (1000, 50))
    sf.coherence(large)
    assert sorted(set(large.reads)) == sorted(large.reads)
    assert {(stop - start) % 1000 for start, stop in large.reads} == {0}


def test_more_is_read_where_less_is_kept(caplog):
    table = gaussian(6000, 24)
    with caplog.at_level(logging.INFO, "superpos_fast"):
        run = sf.coherence(generated(table), return_pair=True, memory="1MiB").run
    assert run.bytes_read > 3 * table.nbytes
    assert f"{run.bytes_read - table.nbytes} bytes to read" in caplog.text
    with pytest.raises(ValueError, match=r"^memory: must be at least \d+ bytes"):
        sf.coherence(generated(TABLE, 1500), memory="300KiB")


def test_what_is_still_there_is_not_read_again():
    """Looked at, sampled and packed: each of these was a round of its own over all blocks."""
    table, read = gaussian(24_000, 256), []

    def generate(start, stop):
        read.append(start)
        return table[start:stop]

    rows = sf.rows(*table.shape, generate, block=1000)
    assert sf.coherence(rows, memory="64MiB") == sf.coherence(table)
    assert sorted(set(read)) == list(range(0, 24_000, 1000))
    assert len(read) < 3 * 24


# Blocks that are kept


class Shelf:
    """A source of 100 rows, 10 at a time, that notes what is read."""

    def __init__(self, parallel=True):
        self.read = []
        self.wait = threading.Event()
        self.wait.set()
        self.source = BlockRows(self._load, (100, 1), np.float32, 10, parallel)
        self.source.keep(4 * 40)

    def _load(self, start, stop):
        self.wait.wait(5)
        self.read.append(start)
        return np.arange(start, stop, dtype=np.float32)[:, None]


def until(condition):
    limit = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.001)


def test_rows_and_lists_of_rows():
    shelf = Shelf()
    assert shelf.source.rows(7, 24).ravel().tolist() == list(range(7, 24))
    assert shelf.source.take(np.array([99, 0, 15, 98])).ravel().tolist() == [99, 0, 15, 98]
    assert shelf.read == [0, 10, 20, 90]


def test_rows_in_use_are_kept():
    shelf = Shelf()
    shelf.source.expect([range(20)], [])
    for start in range(0, 100, 10):
        shelf.source.rows(start, start + 10)
    shelf.read.clear()
    shelf.source.rows(0, 20)
    assert not shelf.read


def test_rows_are_read_ahead_within_the_room():
    shelf = Shelf()
    shelf.source.expect([range(10)], [range(30, 90)])
    shelf.source.rows(0, 10)
    until(lambda: len(shelf.read) == 4)
    time.sleep(0.02)
    assert sorted(shelf.read) == [0, 30, 40, 50]
    shelf.source.rows(30, 40)
    shelf.source.expect([range(30, 40)], [])
    assert len(shelf.read) == 4
    shelf.source.close()
    assert not [t for t in threading.enumerate() if t.name == "superpos_fast read"]


def test_rows_are_read_ahead_backwards():
    shelf = Shelf()
    shelf.source.expect([], [range(94, 55, -1), range(0), range(25, 30)])
    until(lambda: len(shelf.read) == 4)
    assert shelf.read == [90, 80, 70, 60]
    shelf.source.close()


def test_what_was_read_already_is_not_read_ahead():
    shelf = Shelf()
    shelf.wait.clear()
    shelf.source.expect([], [range(100)])
    reader = threading.Thread(target=lambda: [shelf.source.rows(0, 100) for _ in range(2)])
    reader.start()
    shelf.wait.set()
    reader.join()
    shelf.source.close()
    assert shelf.read.count(0) <= 2
    assert len(shelf.read) <= 20


@pytest.mark.parametrize("parallel", [True, False])
def test_many_readers_of_few_blocks(parallel):
    shelf = Shelf(parallel)
    most = []

    def read(seed):
        rng = np.random.default_rng(seed)
        for _ in range(50):
            start = int(rng.integers(0, 90))
            found = shelf.source.rows(start, start + 10).ravel()
            assert found.tolist() == list(range(start, start + 10))
            most.append(len(shelf.source._blocks))

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    shelf.source.expect([range(30)], [range(50, 100)])
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    shelf.source.close()
    assert len(most) == 400
    assert max(most) <= 4


def test_what_a_reader_raises_is_raised():
    def generate(start, stop):
        if start >= 512:
            raise OSError("the disk is gone")
        return TABLE[start:stop]

    before = threading.active_count()
    with pytest.raises(OSError, match="the disk is gone"):
        sf.coherence(sf.rows(1500, 24, generate, block=256))
    assert threading.active_count() == before


# What is refused


@pytest.mark.parametrize(
    ("generate", "message"),
    [
        (lambda start, stop: TABLE[start:stop, 1:], r"must return shape \(256, 24\) .*\(256, 23\)"),
        (lambda start, stop: TABLE[start : stop - 1], r"got shape \(255, 24\)"),
        (lambda start, stop: TABLE[start:stop].astype("f8" if start else "f4"), "always .*float32"),
        (lambda start, stop: TABLE[start:stop] * (start != 512), r"zeros in row 512"),
        (lambda start, stop: TABLE[start:stop] / np.float32(start != 512), r"got (nan|-?inf) in"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_is_generated_is_checked(generate, message):
    with pytest.raises(ValueError, match=message) as raised:
        sf.coherence(sf.rows(1500, 24, generate, block=256))
    assert "\n" not in str(raised.value)


def test_complex_rows_are_refused():
    with pytest.raises(TypeError, match=r"^vectors: must be real numbers"):
        sf.coherence(sf.rows(1500, 24, lambda start, stop: TABLE[start:stop] * 1j))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n: must be between 1"),
        ({"d": 2.0}, "d: must be a whole number"),
        ({"block": 0}, "block: must be between 1"),
        ({"key": 7}, "key: must be text"),
        ({"generate": TABLE}, "generate: must be a function"),
    ],
)
def test_arguments_of_rows(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        sf.rows(**({"n": 5, "d": 3, "generate": lambda start, stop: 0} | arguments))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Sliced(np.ones((5, 2, 2))), r"two-dimensional.* \(5, 2, 2\)"),
        (Sliced(np.ones((5, 0))), r"at least one column"),
        (Sliced(np.ones((5, 2), complex)), r"complex"),
        (Sliced(np.ones((1, 2))), r"at least two rows"),
        ("no such file.npy", r"^vectors: must be a file"),
        ("a name", r"^vectors: must end in .npy"),
    ],
)
def test_sources_that_are_refused(bad, message):
    with pytest.raises((TypeError, ValueError, OSError), match=message) as raised:
        sf.coherence(bad)
    assert "\n" not in str(raised.value)


def test_sparse_matrices_are_refused():
    with pytest.raises(TypeError, match=r"^vectors: must give arrays .* when it is sliced"):
        sf.coherence(scipy.sparse.csr_matrix(np.eye(5)))


def test_tensor_chooses_within_a_file(tmp_path):
    np.savez(tmp_path / "two.npz", one=TABLE[:9], two=TABLE[9:20])
    found = sf.coherence(tmp_path / "two.npz", tensor="two")
    assert found == sf.coherence(TABLE[9:20])
    with pytest.raises(ValueError, match=r"^tensor: must name one of"):
        sf.coherence(tmp_path / "two.npz")
    with pytest.raises(TypeError, match=r"^tensor: must be a name, got 2"):
        sf.coherence(tmp_path / "two.npz", tensor=2)


# Random rows


def test_random_rows_are_the_same_wherever_they_begin():
    rows = sf.random_rows(1000, 5, seed=3, block=100)
    again = sf.random_rows(950, 5, seed=3, block=10)
    assert (rows.read(300, 400) == again.read(300, 400)).all()
    assert (rows.read(900, 1000)[:50] == again.read(900, 950)).all()
    assert (rows.read(0, 100) != rows.read(100, 200)).all()
    assert (sf.random_rows(100, 5, seed=4, block=100).read(0, 100) != rows.read(0, 100)).all()
    assert sf.random_rows(9, 5, dtype="float64").read(0, 9).dtype == np.float64
    assert "seed=3" in rows.key
    with pytest.raises(ValueError, match="dtype: must be"):
        sf.random_rows(5, 5, dtype="int8")


def test_random_rows_are_random_directions():
    found = sf.describe(sf.random_rows(4000, 32, block=256))
    assert found.coherence == pytest.approx(found.random["coherence"], abs=0.06)
    assert found.rms_cosine == pytest.approx(found.random["rms_cosine"], abs=1e-3)


# Files


@pytest.mark.parametrize(
    "view",
    [np.asarray, lambda a: a[::2], lambda a: a[5:, 3:], lambda a: a[::-1], lambda a: a.T],
    ids=["whole", "every second", "corner", "backwards", "turned"],
)
def test_views_of_memory_maps_are_asked_for_ahead(view, tmp_path):
    table = view(mapped(TABLE, tmp_path))
    source = ArrayRows(table)
    source.expect((), [range(len(table))])
    source.expect((), [range(len(table) - 1, len(table))])
    assert sf.coherence(table) == sf.coherence(np.array(table))


def test_copies_of_files_keep_their_changes(tmp_path):
    """A private map is changed in memory only: nothing of it may be forgotten."""
    mapped(TABLE, tmp_path)
    private = np.load(tmp_path / "table.npy", mmap_mode="c")
    private[5] = private[9] * 3
    changed = np.array(private)
    assert sf.coherence(private, return_pair=True) == sf.coherence(changed, return_pair=True)
    assert np.array_equal(private, changed)


def test_files_being_written_keep_what_was_written(tmp_path):
    table = np.lib.format.open_memmap(tmp_path / "new.npy", "w+", np.float32, TABLE.shape)
    table[:] = TABLE
    assert sf.coherence(table) == sf.coherence(TABLE)
    assert np.array_equal(table, TABLE)
    del table
    assert sf.coherence(tmp_path / "new.npy") == sf.coherence(TABLE)


RESIDENT = """
import sys
import superpos_fast as sf
def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) << 10
sf.coherence(sf.random_rows(9000, 128), memory="16MiB")
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = status("VmRSS")
if sys.argv[2] == "squares":
    sf.interference(sys.argv[1], memory="64MiB")
else:
    sf.coherence(sys.argv[1], shard=(0, 2000), memory="64MiB")
print(status("VmHWM") - before)
"""


@pytest.mark.parametrize("question", ["squares", "pairs"])
def test_files_do_not_fill_the_memory(tmp_path, question):
    """Of 500 MiB no more than 128 are resident, beside the cap."""
    table = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.float32, (1_000_000, 128))
    for start in range(0, len(table), 50_000):
        table[start : start + 50_000] = gaussian(50_000, 128, seed=start)
    del table
    (peak,) = output_of(RESIDENT, tmp_path / "big.npy", question)
    assert int(peak) <= 250 << 20


def test_blocks_stay_while_their_source_rests():
    source = Sliced(TABLE)
    rows = BlockRows(lambda start, stop: source[start:stop], TABLE.shape, np.float32, 500, False)
    rows.keep(TABLE.nbytes)
    rows.expect([range(500)], [range(500, 1500)])
    assert np.array_equal(rows.rows(0, 1500), TABLE)
    rows.rest()
    assert "superpos_fast read" not in {thread.name for thread in threading.enumerate()}
    assert np.array_equal(rows.take(np.array([1499, 3])), TABLE[[1499, 3]])
    assert sorted(source.reads) == [(0, 500), (500, 1000), (1000, 1500)]
    rows.close()
    rows.rows(0, 10)
    assert len(source.reads) == 4


@pytest.mark.parametrize("indices", [[], [7], [5, 3, 3, 1_000_000 - 1], range(0, 1_000_000, 9_973)])
def test_rows_taken_here_and_there_of_a_large_file(tmp_path, indices):
    table = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.float32, (1_000_000, 40))
    places = np.array(indices, np.int64)
    table[places, 3] = places
    source = ArrayRows(table)
    for _ in range(2):
        assert np.array_equal(source.take(places), np.array(table)[places])
    assert np.array_equal(ArrayRows(table[::-1]).take(places), np.array(table)[::-1][places])


# Memory

PEAK = """
import superpos_fast as sf
def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) << 10
rows = sf.random_rows(25_000, 64, block=1024)
sf.coherence(rows, memory="12MiB", threads=2)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = status("VmRSS")
sf.coherence(rows, memory="12MiB", threads=2)
print(status("VmHWM") - before)
"""


def test_peak_memory_of_generated_rows():
    (peak,) = output_of(PEAK, environment={"MALLOC_MMAP_THRESHOLD_": "65536"})
    assert int(peak) <= 14 << 20
