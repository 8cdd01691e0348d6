"""The folds: what becomes of a block of values, float32 dot products or float64 cosines alike.

A fold is a record of arrays, and `fold_block` is chosen by its type, so that one walk compiles to
one kernel for each combination of folds.  Values of pairs that there are not are NaN; rows and
columns are counted from the tile's corner.

A fold takes each value in or lists its pair.  Against float32 values a pair is listed where they
leave open what becomes of it, and is decided afterwards; `bound` or `slack` says how far a value
may be off.  Against float64 cosines both are 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload

from .compare import ABREAST, WIDE, WIDER, first_bit, reach, reaching, within
from .compiling import compiled, part

# So many values are counted at a turn, each in its own copy of its rank's counter: in one they
# would wait for each other's store, 5 cycles, where most values have one rank.
COPIES = 8
# What the table has where shades do not tell the rank: a counter that means nothing.
UNCLEAR = 1
# Lines that lie one after the other are counted so many at a time: what a line costs apart from its
# values was a tenth of the time.
LINES = 4
# With twice as many shades a histogram took as long, at d = 64 and 768.  A range, of shades, is
# 2^RANGE.
SHADES, RANGE = 1 << 15, 2


class Listing(NamedTuple):
    """Room for listed pairs."""

    rows: Any  # int32
    columns: Any  # int32
    values: Any  # float64
    found: Any  # int64, one: how many; -1 where they did not fit and the tile stays open


class Best(NamedTuple):
    """The k largest values of each row and each column, or of all: lists whatever may be one."""

    row_gates: Any  # a row: what its values must reach
    column_gates: Any  # a column; +inf where only rows are asked about
    row_heaps: Any  # (rows or 1, k): the largest values seen, a heap, smallest first
    column_heaps: Any  # (columns or 0, k)
    slack: float  # how far below a seen value another may lie and be larger; +inf: no gate rises
    sign: float  # -1: magnitudes, 1: signed values
    reaching: Any  # int32, scratch: the places of a line's values that reach a gate
    listing: Listing


class Ranks(NamedTuple):
    """How many values reach each threshold: a value's rank is the number of thresholds <= it.

    Values are told apart in `SHADES` *shades*: a shade below `least` is below the threshold, one
    from `most` on has reached it, whatever the rounding and the bound.
    """

    thresholds: Any  # float64, ascending
    origin: float  # float32: where the shades begin; values below, and NaN, have the first
    span: float  # float32: where they end, from there
    scale: float  # float32: shades in 1
    least: Any  # uint16 a threshold
    most: Any  # uint16 a threshold
    table: Any  # uint16 a shade: COPIES x (1 + the rank of all its values), or UNCLEAR
    lowest: Any  # int32 a range of shades: the least rank of its values
    highest: Any  # int32 a range
    bound: float
    listed: Any  # bool a rank: whether its pairs are listed, not counted
    few: bool  # whether thresholds are so few that each is counted by itself
    sign: float
    counts: Any  # int64, (1 + ranks) x COPIES; the first and that of rank 0 mean nothing
    reached: Any  # int64 a threshold, scratch for a line
    shades: Any  # uint16, scratch for a line
    unclear: Any  # int32, likewise: places of values whose rank their shades do not tell
    listing: Listing


class Total(NamedTuple):
    """The sum of magnitudes."""

    lanes: Any  # float64, as many as a line of values


@njit(inline="always")
def strength(value, sign):
    """Return the value (sign 1) or its magnitude (sign -1); NaN of NaN."""
    other = value * sign
    return other if other > value else value


@part
def push(heap, value):
    """Let a value into a heap, smallest first, if it is larger than that; return the smallest."""
    if value <= heap[0]:
        return heap[0]
    size, place = heap.size, 0
    while True:
        child = 2 * place + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if child >= size or heap[child] >= value:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = value
    return heap[0]


@njit(inline="always")
def note(listing, found, i, j, value):
    """List a pair in the room's place `found`."""
    listing.rows[found] = i
    listing.columns[found] = j
    listing.values[found] = value
    listing.found[0] = found + 1


@compiled
def set_gates(wanted, off, gates):
    """Write float32 gates not above what cosines must reach, less what values may be off.

    Infinite ones follow.
    """
    for n in range(wanted.size):
        least = wanted[n] - off
        gate = np.float32(least)
        gates[n] = gate if gate <= least else np.nextafter(gate, np.float32(-np.inf))
    for n in range(wanted.size, gates.size):
        gates[n] = np.inf


@compiled
def drop(listing, row_gates, column_gates):
    """Drop the listed pairs that the gates have passed by; return how many stay, in order."""
    kept = 0
    for s in range(listing.found[0]):
        i, j, value = listing.rows[s], listing.columns[s], listing.values[s]
        if value >= row_gates[i] or value >= column_gates[j]:
            note(listing, kept, i, j, value)
            kept += 1
    listing.found[0] = kept
    return kept


@part
def see(fold, line, sign, found, i, j):
    """List those of a line's values that still reach their gates, and raise these.

    Returns whether there was room.
    """
    row_gates, column_gates, listing = fold.row_gates, fold.column_gates, fold.listing
    alone = fold.row_heaps.shape[0] == 1
    heap = fold.row_heaps[0 if alone else i]
    for s in range(found):
        c = fold.reaching[s]
        value = strength(line[c], sign)
        for_row, for_column = value >= row_gates[i], value >= column_gates[j + c]
        if not (for_row or for_column):
            continue
        place = listing.found[0]
        if place == listing.rows.size:
            place = drop(listing, row_gates, column_gates)
            if place > listing.rows.size // 2:
                listing.found[0] = -1
                return False
        note(listing, place, i, j + c, value)
        if for_row:
            gate = push(heap, value) - fold.slack
            if gate > row_gates[i]:
                if alone:
                    row_gates[:] = gate
                else:
                    row_gates[i] = gate
        if for_column:
            gate = push(fold.column_heaps[j + c], value) - fold.slack
            if gate > column_gates[j + c]:
                column_gates[j + c] = gate
    return True


def fold_block(fold, values, at, stride, rows, columns, i, j):
    """Fold rows x columns values; return 1, or 0 once the fold has given up.

    The value in row r and column c is values[at + r stride + c], of the pair (i + r, j + c).
    """
    raise TypeError("fold_block: must be called by compiled code, which chooses its body by type")


def fold_all(folds, values, at, stride, rows, columns, i, j):
    """Fold a block into each of a tuple of folds; return how many have not given up."""
    raise TypeError("fold_all: must be called by compiled code, which chooses its body by type")


@part
def find(values, at, columns, sign, gate, gates, j, reaching):
    """Note which of a line's values reach the row's gate or their columns'; return how many."""
    width, found, c = (WIDE if values.itemsize == 4 else WIDER), 0, 0
    while c + width <= columns:
        bits = reach(values, at + c, gate, gates, j + c, sign)
        while bits:
            reaching[found] = c + first_bit(bits)
            found += 1
            bits &= bits - np.uint64(1)
        c += width
    while c < columns:
        value = strength(values[at + c], sign)
        if value >= gate or value >= gates[j + c]:
            reaching[found] = c
            found += 1
        c += 1
    return found


def _best(fold, values, at, stride, rows, columns, i, j):
    if fold.listing.found[0] < 0:
        return 0
    sign = values.dtype.type(fold.sign)
    for r in range(rows):
        start, gate = at + r * stride, fold.row_gates[i + r]
        found = find(values, start, columns, sign, gate, fold.column_gates, j, fold.reaching)
        if found and not see(fold, values[start : start + columns], sign, found, i + r, j):
            return 0
    return 1


@njit(inline="always")
def rank(thresholds, low, high, value):
    """Return how many thresholds are <= value, which is between low and high."""
    while low < high:
        middle = (low + high) // 2
        if thresholds[middle] <= value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(inline="always")
def shade(fold, line, sign):
    """Write the shades of a line of values."""
    kind = line.dtype.type
    origin, span, scale = kind(fold.origin), kind(fold.span), kind(fold.scale)
    shades = fold.shades[: line.size]
    for c in range(line.size):
        beyond = strength(line[c], sign) - origin
        beyond = beyond if beyond > kind(0.0) else kind(0.0)  # NaN too
        shades[c] = np.uint16(np.int32((beyond if beyond < span else span) * scale))
    return shades


@part
def note_shades(fold, shades, first, end, found):
    """Note the places of shades from `first` to before `end`; return how many are noted now."""
    unclear, c = fold.unclear, 0
    while c + ABREAST <= shades.size:
        bits = within(shades, c, first, end)
        while bits:
            unclear[found] = c + first_bit(bits)
            found += 1
            bits &= bits - np.uint64(1)
        c += ABREAST
    while c < shades.size:
        if first <= shades[c] < end:
            unclear[found] = c
            found += 1
        c += 1
    return found


@part
def count_few(fold, line, sign):
    """Count a line threshold by threshold; return how many values are not clear, and note which."""
    found = 0
    if fold.bound == 0.0:
        count_cosines(fold, line, sign)
    else:
        found = count_shades(fold, line, sign)
    for t in range(fold.thresholds.size):
        more = fold.reached[t + 1] if t + 1 < fold.thresholds.size else 0
        fold.counts[COPIES * (t + 2)] += fold.reached[t] - more
    return found


@part
def count_cosines(fold, line, sign):
    """Note how many of a line's cosines reach each threshold: nothing is unclear of these.

    Their shades would be of no use where they lie on thresholds, as all of a frame's may.
    """
    for t in range(fold.thresholds.size):
        threshold, reached = fold.thresholds[t], 0
        for c in range(line.size):
            reached += strength(line[c], sign) >= threshold
        fold.reached[t] = reached


@part
def count_shades(fold, line, sign):
    """Note how many clear values reach each threshold, and which are not clear.

    Returns how many are not.
    """
    shades = shade(fold, line, sign)
    found, whole = 0, shades.size // ABREAST * ABREAST
    for t in range(fold.thresholds.size):
        least, most = fold.least[t], fold.most[t]
        may, must = reaching(shades, whole, least, most) if whole else (0, 0)
        for c in range(whole, shades.size):
            may += shades[c] >= least
            must += shades[c] >= most
        fold.reached[t] = must
        if may != must:
            first = least if t == 0 else max(least, fold.most[t - 1])
            found = note_shades(fold, shades, first, most, found)
    for s in range(found):
        for t in range(fold.thresholds.size):
            fold.reached[t] -= shades[fold.unclear[s]] >= fold.most[t]
    return found


@njit(inline="always")
def look(table, shades, c):
    """Return what the table has for four shades."""
    return (
        np.uint64(table[shades[c]]),
        np.uint64(table[shades[c + np.uint64(1)]]),
        np.uint64(table[shades[c + np.uint64(2)]]),
        np.uint64(table[shades[c + np.uint64(3)]]),
    )


@njit(inline="always")
def unclear(former, latter):
    """Return whether one of eight entries of the table is UNCLEAR, the only odd number there."""
    a, b, c, d = former
    e, f, g, h = latter
    return ((a | b) | (c | d) | (e | f) | (g | h)) & np.uint64(UNCLEAR) != 0


@njit(inline="always")
def add(counts, four, copy):
    """Count four values, in copies of their counters from `copy` on."""
    counts[four[0] + np.uint64(copy)] += 1
    counts[four[1] + np.uint64(copy + 1)] += 1
    counts[four[2] + np.uint64(copy + 2)] += 1
    counts[four[3] + np.uint64(copy + 3)] += 1


@part
def count_many(fold, line, sign):
    """Count a line by the table; return how many values are not clear, and note which.

    All of a turn's shades are looked up before the first is counted: the compiler must take a
    counter for a part of the table.  One at a time took 1.8 times as long.
    """
    shades, table, counts = shade(fold, line, sign), fold.table, fold.counts
    found, c = 0, np.uint64(0)
    whole = np.uint64(line.size // COPIES * COPIES)
    while c < whole:
        former, latter = look(table, shades, c), look(table, shades, c + np.uint64(4))
        add(counts, former, 0)
        add(counts, latter, 4)
        if unclear(former, latter):
            found = note_unclear(fold, shades, c, c + np.uint64(COPIES), found)
        c += np.uint64(COPIES)
    for rest in range(whole, line.size):
        counts[table[shades[rest]]] += 1
    return note_unclear(fold, shades, whole, np.uint64(line.size), found)


@part
def note_unclear(fold, shades, first, end, found):
    """Note which of some shades are not clear by the table; return how many are noted now."""
    for c in range(first, end):
        if fold.table[shades[c]] == UNCLEAR:
            fold.unclear[found] = c
            found += 1
    return found


@part
def classify(fold, line, columns, sign, found, i, j):
    """Count or list the values of a line that are not clear; return whether there was room.

    A search through all of 4096 thresholds took 20 ns a value, most of it for wrong guesses of the
    processor's, where all values of a frame are on a threshold.
    """
    for s in range(found):
        c = fold.unclear[s]
        place = fold.shades[c] >> np.uint16(RANGE)
        value = np.float64(strength(line[c], sign))
        low, high = fold.lowest[place], fold.highest[place]
        least = rank(fold.thresholds, low, high, value - fold.bound)
        most = least
        if fold.bound != 0.0:
            most = rank(fold.thresholds, least, high, value + fold.bound)
        if least == most and not fold.listed[least]:
            fold.counts[COPIES * (least + 1)] += 1
            continue
        place = fold.listing.found[0]
        if place == fold.listing.rows.size:
            fold.listing.found[0] = -1
            return False
        note(fold.listing, place, i + c // columns, j + c % columns, value)
    return True


def _ranks(fold, values, at, stride, rows, columns, i, j):
    if fold.listing.found[0] < 0:
        return 0
    sign = values.dtype.type(fold.sign)
    together = LINES if columns == stride else 1
    for r in range(0, rows, together):
        start = at + r * stride
        line = values[start : start + min(together, rows - r) * columns]
        found = count_few(fold, line, sign) if fold.few else count_many(fold, line, sign)
        if found and not classify(fold, line, columns, sign, found, i + r, j):
            return 0
    return 1


def _total(fold, values, at, stride, rows, columns, i, j):
    lanes = fold.lanes[:columns]
    for r in range(rows):
        start = at + r * stride
        line = values[start : start + columns]
        for c in range(columns):
            value = abs(line[c])
            lanes[c] += np.float64(value) if value >= 0.0 else 0.0
    return 1


@overload(fold_block)
def _choose(fold, values, at, stride, rows, columns, i, j):
    return {Best: _best, Ranks: _ranks, Total: _total}[fold.instance_class]


@overload(fold_all)
def _choose_all(folds, values, at, stride, rows, columns, i, j):
    if len(folds) == 1:
        return lambda folds, values, at, stride, rows, columns, i, j: fold_block(
            folds[0], values, at, stride, rows, columns, i, j
        )

    def each(folds, values, at, stride, rows, columns, i, j):
        first = fold_block(folds[0], values, at, stride, rows, columns, i, j)
        return first + fold_all(folds[1:], values, at, stride, rows, columns, i, j)

    return each


@compiled
def sift(cosines, row, fold, found, most):
    """Fold decided cosines row by row, as long as no more than `most` pairs are listed.

    `found` is the fold's count of listed pairs.  Returns the row to go on from, once they are
    taken away: what is decided cannot stay open.
    """
    rows, columns = cosines.shape
    values = cosines.reshape(-1)
    while row < rows and found[0] <= most:
        fold_block(fold, values, row * columns, columns, 1, columns, row, 0)
        row += 1
    return row
