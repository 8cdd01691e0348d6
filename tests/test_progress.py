"""Progress: counts that rise to the number of pairs, an exception that stops the run, a bar."""

import re
import threading

import numpy as np
import pytest

from superpos_fast import coherence

TABLE = np.random.default_rng(0).standard_normal((3000, 40))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("other", [None, TABLE[:700]])
@pytest.mark.parametrize("memory", [None, "2MiB"])
def test_counts_rise_to_the_number_of_pairs(threads, other, memory):
    calls = []
    answer = coherence(
        TABLE, other, threads=threads, memory=memory, progress=lambda *call: calls.append(call)
    )
    assert answer == coherence(TABLE, other)
    pairs = 3000 * 700 if other is not None else 3000 * 2999 // 2
    done = [done for done, total in calls]
    assert {total for done, total in calls} == {pairs}
    assert done == sorted(done)
    assert done[0] > 0
    assert done[-1] == pairs


def test_tiles_skipped_count_as_done():
    calls = []
    ones = np.ones((3000, 8))
    assert coherence(ones, memory="2MiB", progress=lambda *call: calls.append(call)) == 1.0
    assert calls[-1] == (3000 * 2999 // 2,) * 2


@pytest.mark.parametrize("threads", [1, 3])
def test_an_exception_of_the_callback_ends_the_run(threads):
    def stop(done, total):
        raise StopAsyncIteration("enough")

    before = threading.active_count()
    with pytest.raises(StopAsyncIteration, match="enough"):
        coherence(TABLE, threads=threads, progress=stop)
    assert threading.active_count() == before


def test_bar(capsys):
    coherence(TABLE, progress=True)
    shown = capsys.readouterr()
    assert re.search(r"100%.*4\.50M/4\.50M.*pair/s, [0-9.]+ GFLOP/s", shown.err)
    assert not shown.out
