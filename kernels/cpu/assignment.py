"""Shortest augmenting paths: rows and columns of a sparse table are matched, one free row a search.

In whole numbers, so that duals and what they prove are exact.  `superpos_fast.kernels.reference`
says what is computed; here the columns to be looked at next are a heap.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..reference import FAR
from .compiling import compiled, part


class _Search(NamedTuple):
    """What one search after another needs, a place a column, and a row less."""

    distances: Any  # int64, of the columns; FAR where a search has not been
    reached_from: Any  # int64: the row that a column was reached from
    heap: Any  # int64: columns that were reached and not gone on from, the nearest first
    places: Any  # int64: where in the heap a column is, -1 once it was gone on from
    trail: Any  # int64: the columns that were reached
    visited: Any  # int64: those that were gone on from


@part
def before(search, one, two):
    """Return whether a column comes before another: the nearer, of equal ones the lower."""
    near, far = search.distances[one], search.distances[two]
    return near < far or (near == far and one < two)


@part
def rise(search, column, place):
    """Move a column of the heap up to where it belongs, from a place that is free."""
    heap, places = search.heap, search.places
    while place > 0:
        above = (place - 1) // 2
        if not before(search, column, heap[above]):
            break
        heap[place] = heap[above]
        places[heap[place]] = place
        place = above
    heap[place] = column
    places[column] = place


@part
def pop(search, size):
    """Take the nearest column off the heap, which has `size` columns."""
    heap, places = search.heap, search.places
    nearest, last = heap[0], heap[size - 1]
    size -= 1
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and before(search, heap[child + 1], heap[child]):
            child += 1
        if not before(search, heap[child], last):
            break
        heap[place] = heap[child]
        places[heap[place]] = place
        place = child
    if size:
        heap[place] = last
        places[last] = place
    places[nearest] = -1
    return nearest


@part
def augment(search, partners, owners, first, row, column):
    """Match along the path from row `first` that ends in `row` and `column` (-1: the row is left).

    Every row on it takes the column that the path goes on to, and leaves the one it came by.
    """
    if column < 0:
        if row == first:
            return
        column, partners[row] = partners[row], -1
        row = search.reached_from[column]
    while True:
        left, partners[row], owners[column] = partners[row], column, row
        if row == first:
            return
        column, row = left, search.reached_from[left]


@part
def look_from(row, distance, best, starts, columns, scores, own, other, owners, search, sizes):
    """Reach columns from a row; return the nearest end among them, (distance, column), or `best`.

    `sizes` are those of the heap and of the trail.
    """
    distances, end = search.distances, np.int64(-1)
    beyond = distance + own[row]
    for e in range(starts[row], starts[row + 1]):
        column = columns[e]
        there = beyond + other[column] - scores[e]
        if there >= best or there >= distances[column]:
            continue
        if owners[column] < 0:
            best, end = there, column
            continue
        place = search.places[column]
        if distances[column] == FAR:
            search.trail[sizes[1]] = column
            place = sizes[0]
            sizes[0] += 1
            sizes[1] += 1
        distances[column] = there
        search.reached_from[column] = row
        rise(search, column, place)
    return best, end


@part
def search_from(first, starts, columns, scores, own, other, partners, owners, search, sizes):
    """Find the nearest end of an alternating path from a free row, change duals, augment."""
    distances, visited = search.distances, 0
    sizes[:] = 0
    row, distance = first, np.int64(0)
    best, end_row, end_column = own[first], first, np.int64(-1)
    while True:
        best, end = look_from(
            row, distance, best, starts, columns, scores, own, other, owners, search, sizes
        )
        if end >= 0:
            end_row, end_column = row, end
        if sizes[0] == 0 or distances[search.heap[0]] >= best:
            break
        column = pop(search, sizes[0])
        sizes[0] -= 1
        search.visited[visited] = column
        visited += 1
        row, distance = owners[column], distances[column]
        if distance + own[row] < best:
            best, end_row, end_column = distance + own[row], row, np.int64(-1)
    own[first] -= best
    for s in range(visited):
        column = search.visited[s]
        change = best - distances[column]
        other[column] += change
        own[owners[column]] -= change
    for s in range(sizes[1]):
        distances[search.trail[s]] = FAR
    augment(search, partners, owners, first, end_row, end_column)


@compiled
def search_all(starts, columns, scores, own, other, partners, owners, search, sizes):
    """Search from each free row whose dual is not 0."""
    for row in range(own.size):
        if partners[row] < 0 and own[row] > 0:
            search_from(row, starts, columns, scores, own, other, partners, owners, search, sizes)


def match_free(
    starts: Any, columns: Any, scores: Any, own: Any, other: Any, partners: Any, owners: Any
) -> None:
    """Match rows of a sparse table along shortest augmenting paths, in place."""
    scratch = (np.empty(len(other), np.int64) for _ in _Search._fields[1:])
    search = _Search(np.full(len(other), FAR), *scratch)
    sizes = np.zeros(2, np.int64)
    search_all(starts, columns, scores, own, other, partners, owners, search, sizes)
