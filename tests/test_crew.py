"""The crew: every item once, all threads gone, the first exception wins and stops the rest."""

import threading
import time

import pytest

from superpos_fast.crew import Crew


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_every_item_once(threads, count):
    seen = []
    with Crew(threads) as crew:
        crew.each(seen.append, range(count))
        crew.each(seen.append, (item for item in range(count)))
    assert sorted(seen) == sorted([*range(count), *range(count)])


def test_no_more_threads_than_items():
    before = threading.active_count()
    with Crew(64) as crew:
        crew.each(lambda item: None, [1])
        assert threading.active_count() == before
        crew.each(lambda item: time.sleep(0.01), [1, 2, 3])
        assert threading.active_count() <= before + 2
    assert threading.active_count() == before


def test_each_thread_is_equipped_once():
    equipped, used = [], []

    def equip():
        equipped.append(threading.get_ident())
        return equipped[-1]

    def work(own, item):
        assert own == threading.get_ident()
        used.append(item)
        time.sleep(0.001)

    with Crew(3) as crew:
        crew.each_with(equip, work, range(60))
    assert sorted(used) == list(range(60))
    assert len(set(equipped)) == len(equipped) <= 3


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, MemoryError])
def test_the_first_exception_stops_all(threads, kind):
    done = []

    def work(item):
        if item == 5:
            raise kind("five")
        time.sleep(0.001)
        done.append(item)

    before = threading.active_count()
    with pytest.raises(kind, match="five"), Crew(threads) as crew:
        crew.each(work, range(10_000))
    assert len(done) < 100
    assert threading.active_count() == before


def test_a_thread_that_cannot_start(monkeypatch):
    done = []

    def refuse(self):
        raise RuntimeError("can't start new thread")

    with Crew(3) as crew:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="start new thread"):
            crew.each(done.append, range(1000))
        monkeypatch.undo()
    assert not done
