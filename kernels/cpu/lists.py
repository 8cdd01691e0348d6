"""Lists of the best decided pairs: k slots a group, kept as heaps with the worst on top.

The order is total, higher strength first, then the lower key, so that the lists do not depend on
the order in which pairs arrive.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .compiling import compiled
from .folds import strength


@njit(inline="always")
def worse(cosine, key, other, other_key, sign):
    """Return whether a slot ranks below another; an empty one (key < 0) below all."""
    if key < 0 or other_key < 0:
        return key < other_key
    one, two = strength(cosine, sign), strength(other, sign)
    return one < two or (one == two and key > other_key)


@njit(inline="always")
def sift(heap, heap_keys, place, size, cosine, key, sign):
    """Put a slot in a heap of so many, at `place` or where it belongs below."""
    while True:
        child = 2 * place + 1
        if child + 1 < size and worse(
            heap[child + 1], heap_keys[child + 1], heap[child], heap_keys[child], sign
        ):
            child += 1
        if child >= size or not worse(heap[child], heap_keys[child], cosine, key, sign):
            break
        heap[place], heap_keys[place] = heap[child], heap_keys[child]
        place = child
    # Written once, so that a thread that looks for the worst meanwhile finds no better one.
    heap[place], heap_keys[place] = cosine, np.int64(key)


@compiled
def keep_best(groups, keys, cosines, sign, first, end, best, best_keys):
    """Let each pair into its group's list if it is better than the worst there.

    Those of groups from `first` to before `end`; others are passed over.
    """
    for p in range(cosines.size):
        if not first <= groups[p] < end:
            continue
        heap, heap_keys = best[groups[p]], best_keys[groups[p]]
        if worse(heap[0], heap_keys[0], cosines[p], keys[p], sign):
            sift(heap, heap_keys, 0, heap.size, cosines[p], keys[p], sign)


@compiled
def sort_lists(best, best_keys, sign):
    """Sort each list, whatever its order, the best first."""
    for group in range(best.shape[0]):
        heap, heap_keys = best[group], best_keys[group]
        for place in range(heap.size // 2 - 1, -1, -1):
            sift(heap, heap_keys, place, heap.size, heap[place], heap_keys[place], sign)
        for last in range(heap.size - 1, 0, -1):
            cosine, key = heap[last], heap_keys[last]
            heap[last], heap_keys[last] = heap[0], heap_keys[0]
            sift(heap, heap_keys, 0, last, cosine, key, sign)
