"""Many machines: a cluster gives the bits of a local run, whatever happens to its workers."""

import gc
import os
import signal
import threading
import time
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import superpos_fast as sf
from helpers import gaussian, stop_after
from superpos_fast import projection
from superpos_fast.kernels.cpu import entry, screening
from superpos_fast.reductions import Counts

distributed = pytest.importorskip("distributed")
# What dask's own threads and sockets say when a cluster goes.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TABLE = gaussian(6000, 32)
TABLE[5000] = TABLE[7]
HOLED = TABLE.copy()
HOLED[[0, 41, 5999]] = 0
OTHER = gaussian(1500, 32, seed=1)
LOCALLY = {"threads": 1, "backend": "cpu"}

QUESTIONS = {
    "coherence": lambda x, **k: sf.coherence(x, return_pair=True, **k),
    "nearest": lambda x, **k: sf.nearest(x, k=3, **k),
    "nearest, two sets": lambda x, **k: sf.nearest(x, OTHER, k=2, return_both=True, **k),
    "pairs": lambda x, **k: sf.pairs(x, angle=40, **k),
    "count": lambda x, **k: sf.count(x, angle=[40, 60], **k),
    "quantile": lambda x, **k: sf.quantile(x, [0.01, 0.5], **k),
    "mean_cosine": lambda x, **k: sf.mean_cosine(x, **k),
    "mean_cosine, float64": lambda x, **k: sf.mean_cosine(x[:2000], precision="float64", **k),
    "describe": lambda x, **k: sf.describe(x, **k),
    "estimate": lambda x, **k: sf.estimate(x, of="count", angle=60, rows=300, **k),
    "interference": lambda x, **k: sf.interference(x[1:40], **k),
}


@pytest.fixture(scope="module", autouse=True)
def environment():
    """Dask sets OMP_NUM_THREADS=1 here for the workers that it spawns, and leaves it so."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def same(one, two):
    return np.array_equal(one, two) if isinstance(one, np.ndarray) else one == two


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_answers_are_those_of_one_machine(name, client):
    for table in (TABLE, HOLED):
        expected = QUESTIONS[name](table, zero="skip", **LOCALLY)
        assert same(QUESTIONS[name](table, zero="skip", backend=client), expected)


@pytest.mark.parametrize("kind", ["file", "part of a map", "generated", "dask"])
def test_workers_read_what_they_need(kind, client, tmp_path):
    np.save(tmp_path / "table.npy", TABLE)
    mapped = np.load(tmp_path / "table.npy", mmap_mode="r")
    table = TABLE[10:] if kind == "part of a map" else TABLE
    source = {
        "file": tmp_path / "table.npy",
        "part of a map": mapped[10:],
        "generated": sf.rows(6000, 32, lambda start, stop: np.array(mapped[start:stop])),
        "dask": pytest.importorskip("dask.array").from_array(TABLE, chunks=(1000, 32)),
    }[kind]
    assert sf.nearest(source, k=2, backend=client) == sf.nearest(table, k=2)


@pytest.mark.parametrize("kind", ["file", "generated"])
def test_sides_may_be_swapped_and_of_two_kinds(kind, client, tmp_path):
    """A sample is surveyed after all rows and is the first side of the pairs."""
    np.save(tmp_path / "table.npy", TABLE)
    path = str(tmp_path / "table.npy")
    source = path if kind == "file" else sf.rows(6000, 32, lambda a, b: np.load(path)[a:b])
    for of, asked in (("count", {"angle": 60}), ("mean_cosine", {}), ("row_maximum", {"q": 0.5})):
        questions = {"of": of, "rows": 300, **asked}
        locally = sf.estimate(TABLE, threads=1, **questions)
        assert str(sf.estimate(source, backend=client, **questions)) == str(locally)
    for sides in ((source, OTHER), (OTHER, source)):
        found = sf.nearest(*sides, k=2, backend=client, return_both=True)
        there = [TABLE if side is source else side for side in sides]
        assert found == sf.nearest(*there, k=2, return_both=True)


def test_in_the_with_of_a_client(client):
    calls = []
    with client.as_current():
        found = sf.coherence(TABLE, return_pair=True, progress=lambda *call: calls.append(call))
        locally = sf.coherence(TABLE, return_pair=True, backend="cpu")
    assert found == locally
    assert len(calls) >= 4  # tiles
    assert calls[-1] == (6000 * 5999 // 2,) * 2
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert found.run.pairs == locally.run.pairs
    assert found.run.survivors > 0
    assert found.run.bytes_read > locally.run.bytes_read


@pytest.mark.skipif(screening.coder is None, reason="this target has no int8 screen")
def test_the_probability_to_fail_is_that_of_all_stretches_together(client, tmp_path, monkeypatch):
    monkeypatch.setattr(entry, "CODED_WORK", 0)
    checkpoint = sf.Checkpoint(tmp_path / "run.ckpt", 0.0)
    run = sf.coherence(TABLE, return_pair=True, backend=client, checkpoint=checkpoint).run
    assert run.dimensions == 32
    assert run.failure == projection.FAILURE


def test_a_worker_is_killed(client):
    """Its stretches are done again: by its successor or by the others."""
    before, killed = client.run(os.getpid), []

    def kill(done, total):
        if done > total // 4 and not killed:
            killed.append(next(iter(before.values())))
            os.kill(killed[0], signal.SIGKILL)

    found = sf.nearest(TABLE, k=3, backend=client, progress=kill, screen="off")
    assert killed
    assert found == sf.nearest(TABLE, k=3)
    client.wait_for_workers(3, timeout=60)
    assert killed[0] not in client.run(os.getpid).values()


@pytest.mark.parametrize("count", [1, 3])
def test_workers_are_killed_whose_lanes_others_finish(count, client):
    """Without a function that may stop the job each worker has stretches of its own.

    With all workers everything that was sent is lost, and all that was found.
    """
    before, killed = client.run(os.getpid), []

    def kill():
        while not killed:
            for task in list(client.cluster.scheduler.tasks.values()):
                if str(task.key).startswith("look") and task.processing_on and not killed:
                    first = task.processing_on.address
                    killed.extend(sorted(before.values(), key=before[first].__ne__)[:count])
                    for pid in killed:
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    rows = sf.random_rows(30_000, 64)
    killer = threading.Thread(target=kill)
    killer.start()
    found = sf.nearest(rows, k=3, backend=client, screen="off")
    killer.join()
    assert found == sf.nearest(rows, k=3)
    client.wait_for_workers(3, timeout=60)
    assert not {*killed} & {*client.run(os.getpid).values()}


class Begun:
    """A future of a cluster that is not there."""

    def __init__(self, work, stretch, parts, status):
        self.work, self.stretch, self.parts, self.status = work, stretch, parts, status

    def stretches(self):
        return [self.stretch] if self.stretch else [s for p in self.parts for s in p.stretches()]

    def result(self):
        if self.status == "cancelled":
            raise distributed.CancelledError("forgotten")
        return self


class Imagined:
    """A client that does at once what is submitted; `fate` says what becomes of it."""

    loop = None

    def __init__(self, fate):
        self.fate, self.begun = fate, []

    def submit(self, work, setting, question, *rest, **__):
        parts = [part for part in rest if isinstance(part, Begun)]
        status = "cancelled" if any(p.status == "cancelled" for p in parts) else "finished"
        future = Begun(work, None if parts else rest[:2], parts, status)
        self.begun.append(future)
        self.fate(self, future)
        return future

    def cancel(self, futures):
        pass


class Coming(deque):
    add = deque.append

    def __iter__(self):
        while self:
            yield self.popleft()


@pytest.fixture
def grown(monkeypatch):
    """Return a function that has stretches of one pair gone through, lane by lane."""
    from superpos_fast import distributed as ours

    monkeypatch.setattr(ours, "as_completed", lambda loop: Coming())

    def grow(fate, lanes, together):
        sent, told, client = [], [], Imagined(fate)

        def send():
            sent.append(None)
            return ours._Sent(len(sent), [])

        some = [ours._Lane([n], deque(lane)) for n, lane in enumerate(lanes)]
        tree = ours._Tree(client, None, send(), send, some, together)
        try:
            found = tree.grown(lambda pairs: told.append(pairs) or True)
        except distributed.CancelledError:
            found = None
        return found, client.begun, len(sent), told

    return grow


def test_work_that_always_takes_its_worker_along_ends_the_job(grown):
    """What dask counts as a loss of one task is to it a new task each time it is sent."""
    from superpos_fast import worker

    def fate(client, future):
        if future.work is worker.join:
            future.status = "cancelled"

    found, begun, _, told = grown(fate, [[(0, 1), (1, 2)]], 2)
    assert found is None
    assert told == [1, 1]
    assert [future.work for future in begun].count(worker.join) == 4


@pytest.mark.parametrize("together", [2, 3, 16])
@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_every_stretch_is_counted_once(together, lanes, grown):
    stretches = [[(10 * n + k, 10 * n + k + 1) for k in range(4 + n)] for n in range(lanes)]
    found, begun, sent, told = grown(lambda *_: None, stretches, together)
    wanted = sorted(stretch for lane in stretches for stretch in lane)
    assert sorted(found.stretches()) == wanted
    assert len(told) == len(wanted)
    assert sent == 1
    assert max((len(future.parts) for future in begun), default=0) <= max(2, 2 * (together - 1))


def test_what_is_lost_while_it_waits_is_done_again_and_nothing_else(grown):
    """A worker goes that has the first two of seven parts, which wait to be joined."""
    from superpos_fast import worker

    def fate(client, future):
        if len(client.begun) == 5:
            for lost in client.begun[:2]:
                lost.status = "cancelled"

    stretches = [(n, n + 1) for n in range(7)]
    found, begun, sent, told = grown(fate, [stretches], 16)
    assert sorted(found.stretches()) == stretches
    assert len(told) == 7
    # What they all need may have been lost with them: that is sent again, once.
    assert sent == 2
    assert [future.work for future in begun].count(worker.look) == 9


def test_workers_may_take_a_while_to_come_back(monkeypatch):
    """When all are lost dask, asked to send, gives up after two seconds."""
    from superpos_fast import distributed as ours

    class Deserted:
        def __init__(self, tries):
            self.tries = tries

        def scatter(self, data, **_):
            self.tries -= 1
            if self.tries >= 0:
                raise TimeoutError("No valid workers found")
            return data

    assert ours.Workers(Deserted(5), None)._scattered("rows") == "rows"
    monkeypatch.setattr(ours, "_WITHOUT", 0.0)
    with pytest.raises(TimeoutError, match="^backend: must be a client with workers, got one with"):
        ours.Workers(Deserted(5), None)._scattered("rows")


def test_what_cannot_be_sent_is_only_refused_where_it_has_to_be(client):
    class Local:
        shape, dtype = TABLE.shape, TABLE.dtype

        def __getitem__(self, rows):
            return TABLE[rows]

        def __reduce__(self):
            raise TypeError("it is here and nowhere else")

    with client.as_current():
        assert same(sf.neurons(Local()).participation, sf.neurons(TABLE).participation)
        with pytest.raises(
            TypeError,
            match="^vectors: must be rows that can be sent to the workers, got it is here and now",
        ):
            sf.coherence(Local())


@pytest.mark.parametrize("kind", ["file", "generated"])
def test_what_workers_look_at_is_refused_in_the_same_words(kind, client, tmp_path):
    table = TABLE.copy()
    table[[4321, 5000], 7] = np.nan
    np.save(tmp_path / "table.npy", table)
    path = str(tmp_path / "table.npy")
    source = path if kind == "file" else sf.rows(6000, 32, lambda a, b: np.load(path)[a:b])
    with pytest.raises(ValueError, match="^vectors: entries must be finite, got nan in row 4321$"):
        sf.coherence(source, backend=client)
    with pytest.raises(ValueError, match="^other: entries must be finite, got nan in row 4321$"):
        sf.coherence(TABLE, source, backend=client)


def test_stopped_and_resumed_on_the_cluster_and_off_it(client, tmp_path):
    checkpoint = sf.Checkpoint(tmp_path / "run.ckpt", 0.0)
    options = {"threads": 1, "memory": "8MiB", "checkpoint": checkpoint}
    with pytest.raises(sf.Interrupted) as stopped:
        sf.nearest(TABLE, k=2, backend=client, progress=stop_after(4), **options)
    part = stopped.value.part
    assert 0 < part.pairs < part.total
    assert sf.nearest(TABLE, k=2, **options) == sf.nearest(TABLE, k=2)
    assert sf.nearest(TABLE, k=2, backend=client, **options) == sf.nearest(TABLE, k=2)


def test_shards_on_the_cluster(client):
    parts = [sf.count(TABLE, angle=60, backend=client, shard=(k, 3)) for k in range(3)]
    assert sf.merge(parts) == sf.count(TABLE, angle=60)


@pytest.mark.parametrize("when", ["they are looked at", "pairs are gone through"])
def test_what_a_worker_raises_is_raised(when, client):
    here = os.getpid()

    def generate(start, stop):
        if os.getpid() != here and stop > 4096:
            raise OSError("the disk is gone")
        return np.ones((stop - start, 8)) + np.arange(start, stop)[:, None]

    class Sliced:
        shape, dtype = (9000, 8), np.dtype(float)

        def __getitem__(self, rows):
            return generate(rows.start, rows.stop)

    rows = sf.rows(9000, 8, generate) if when == "they are looked at" else Sliced()
    with pytest.raises(OSError, match="the disk is gone"):
        sf.coherence(rows, backend=client)
    assert sf.coherence(TABLE, backend=client) == sf.coherence(TABLE)


def test_interrupted_between_two_reductions(client, tmp_path, monkeypatch):
    """What a reduction may know of already is in no checkpoint."""
    checkpoint = sf.Checkpoint(tmp_path / "run.ckpt", 0.0)
    options = {"angle": 60, "memory": "8MiB", "checkpoint": checkpoint, "threads": 1}
    join, joined = Counts.join, []

    def interrupted(self, state, kernels):
        join(self, state, kernels)
        joined.append(state)
        if len(joined) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Counts, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sf.count(TABLE, backend=client, **options)
    assert sf.count(TABLE, backend=client, **options) == sf.count(TABLE, angle=60)


@given(
    begin=st.integers(0, 10**6),
    length=st.integers(0, 10**6),
    workers=st.integers(1, 5),
    longest=st.integers(1, 10**6),
)
def test_stretches_follow_each_other_and_shrink(begin, length, workers, longest):
    from superpos_fast.distributed import _shrinking

    places = list(_shrinking(begin, begin + length, workers, longest))
    lengths = np.diff(places)
    assert (places[0], places[-1]) == (begin, begin + length)
    assert (lengths > 0).all()
    assert (np.diff(lengths) <= 0).all()
    assert lengths.max(initial=0) <= max(1, longest)


def test_workers_use_their_threads():
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        before = threading.active_count()
        run = sf.coherence(TABLE, return_pair=True, backend=client).run
        assert run.threads == 2
        one = sf.coherence(TABLE, return_pair=True, backend=client, threads=1)
        assert one.run.threads == 1
        assert sf.mean_cosine(TABLE, backend=client) == sf.mean_cosine(TABLE, threads=2)
        assert threading.active_count() <= before + 2


def test_workers_keep_nothing_after_a_job(client):
    def held():
        """How much of a job a worker holds, what nobody can reach included."""
        from superpos_fast import screens, worker
        from superpos_fast.blocks import BlockRows

        kinds = worker.Setting, worker.Opened, screens._Packer, BlockRows
        return sum(isinstance(thing, kinds) for thing in gc.get_objects())

    def nothing_is_held():
        return not any(client.run(held).values())

    def nothing_is_left():
        """Of errors of other tests."""
        gc.collect()
        client.run(gc.collect)
        return nothing_is_held()

    wait_until(nothing_is_left)
    rows = sf.rows(6000, 32, lambda start, stop: TABLE[start:stop], key="rows")
    for ask in (sf.coherence, lambda x, **k: sf.quantile(x, 0.5, **k)):
        ask(rows, backend=client, screen="off")
        wait_until(nothing_is_held)


def test_workers_read_their_rows_once():
    """What one stretch has read and packed is there for the next."""
    calls = []

    def generate(start, stop):
        calls.append(start)
        return TABLE[start:stop]

    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        rows = sf.rows(6000, 32, generate, key="rows", block=1000)
        assert sf.nearest(rows, backend=client, screen="off") == sf.nearest(TABLE)
        # To survey them; to learn their type one block is read here and there, the first.
        assert calls.count(3000) == 1
        assert calls.count(0) == 3


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_no_workers():
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        pytest.raises(ValueError, match="backend: must be a client with workers, got one without"),
    ):
        sf.coherence(TABLE, backend=client)
