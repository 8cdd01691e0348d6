"""Lists that several of the host's threads keep."""

from unittest import mock

import numpy as np
import pytest

from superpos_fast.kernels.cpu import entry
from superpos_fast.kernels.cuda import hosts


@pytest.mark.parametrize("magnitude", [False, True])
@pytest.mark.parametrize("lists", [1, 7, 1000])
def test_lists_are_the_same_by_several_threads(lists, magnitude):
    rng = np.random.default_rng(lists)
    kept = []
    for threads in 1, 3, 8:
        keeper, best = hosts.Hosts(), (np.zeros((lists, 5)), np.full((lists, 5), -1))
        rng = np.random.default_rng(lists)
        with mock.patch.multiple(hosts, _THREADS=threads, _ENTRIES=64):
            for _ in range(3):
                pairs = rng.integers(0, lists, 5000), rng.permutation(5000)
                cosines = rng.integers(-9, 10, 5000) / 10
                keeper.keep_best(*pairs, cosines, magnitude, *best)
            keeper.sort_lists(*best, magnitude)
        assert (keeper._others is None) == (threads == 1 or lists == 1)
        keeper.close()
        kept.append(best)
    whole = np.zeros((lists, 5)), np.full((lists, 5), -1)
    rng = np.random.default_rng(lists)
    for _ in range(3):
        pairs = rng.integers(0, lists, 5000), rng.permutation(5000)
        entry.keep_best(*pairs, rng.integers(-9, 10, 5000) / 10, magnitude, *whole)
    entry.sort_lists(*whole, magnitude)
    for best in kept:
        assert all(map(np.array_equal, best, whole))
