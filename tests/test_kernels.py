"""The kernels one by one: against the reference entry, and against their own error bounds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from helpers import needs_compiled, output_of
from strategies import tables
from superpos_fast.kernels import reference
from superpos_fast.kernels.cpu import (
    deciding,
    digits,
    entry,
    lists,
    micro_amx,
    micro_f32,
    screening,
)
from superpos_fast.kernels.records import EXACT, Error
from superpos_fast.screening import decision_bound, digit_bound, float32_bound, product_bound

pytestmark = needs_compiled


def same(left, right):
    return np.array_equal(left, right, equal_nan=True)


@given(tables(element_types=[np.dtype(np.float32), np.dtype(np.float64)]))
def test_rows_match_the_reference(table):
    table = np.require(table, table.dtype.newbyteorder("="), "CA")
    exponents, squares, bad = entry.survey(table)
    for ours, theirs in zip((exponents, squares, bad), reference.survey(table), strict=True):
        assert same(ours, theirs)
    scaled = entry.scale(table, exponents)[:, : table.shape[1]]
    assert same(scaled, reference.scale(table, exponents))


@pytest.mark.parametrize("depth", [1, 7, 8, 9, 64, 511, 512, 513, 1100])
@pytest.mark.parametrize("shift", [None, 0, 3, -40])
def test_decisions_match_the_reference(depth, shift):
    rng = np.random.default_rng(depth)
    rows, columns = rng.standard_normal((2, 101, depth))
    rows[5] = columns[7] = 0.0
    sides = []
    for table in rows, columns:
        exponents, squares, _ = entry.survey(table)
        sides.append((table, exponents, squares))

    def decided(kernels):
        left, right = (kernels.piece_side(*side) for side in sides)
        return kernels.piece_cosines(entry.workspace(1), left, right, shift)

    ours = decided(deciding)
    with np.errstate(invalid="ignore"):
        theirs = decided(reference)
    assert same(ours, theirs)
    for i, j in (0, 100), (100, 0), (50, 51):
        if not np.isnan(ours[i, j]):
            assert ours[i, j] == oracles.cosine(rows[i].tolist(), columns[j].tolist())


FORMS = [screening.Units, *([digits.Digits] if micro_amx.tiles_allowed() else [])]


def packed(table, form):
    """Pack a table in parts, into memory that holds something else."""
    exponents, squares, _ = entry.survey(table)
    rows, depth = -(-len(table) // screening.UNIT) * screening.UNIT, table.shape[1]
    if form is screening.Units:
        room = np.full(rows * screening.packed_depth(depth)[0], np.nan, np.float32)
    else:
        room = digits.room(rows, depth)
        room[:] = 0x55555555
    side = form(room, squares, 0, depth)
    for start in range(0, len(table), screening.UNIT):
        some = slice(start, start + screening.UNIT)
        side.fill(table[some], exponents[some], squares[some], start)
    return side


def screened(
    left, right, *, shift, gate, slack, form=screening.Units, survivors=20_000, signed=True
):
    sides = [packed(table, form) for table in (left, right)]
    tile = 0, len(left), 0, len(right)
    fold = entry.BestFold(len(left), len(right), 1, survivors, per="all", k=1, magnitude=not signed)
    error = Error(slack, 0.0)
    fold.aim(error, np.full(len(left), gate), np.full(len(right), np.inf))
    screening.screen(entry.workspace(1), *sides, tile, shift, [fold])
    if fold.open:
        return None, None
    dots = fold.listing.values[: int(fold.listing.found[0])]
    found = fold.take()[:2]
    assert slack < 9 or len(found[0]) == len(dots)
    if form is digits.Digits:
        lost = (side.lost for side in sides)
        return found, dots, digit_bound(left.shape[1], sides[0].roundings, *lost)
    return found, dots, float32_bound(left.shape[1], screening.chain(left.shape[1]))


@given(
    st.sampled_from([1, 3, 4, 5, 96, 100, 140, 144, 145, 191, 192, 193, 400, 770, 2500]),
    st.sampled_from(["gaussian", "positive", "spiked", "alike", "tiny", "axes"]),
    st.sampled_from(FORMS),
    st.integers(0, 10**6),
)
def test_screen_is_within_its_bound(depth, kind, form, seed):
    """All pairs listed: none lost, and every product within the bound of the decided cosine."""
    rng = np.random.default_rng(seed)
    left, right = rng.standard_normal((2, 61, depth))
    if kind == "positive":
        left, right = abs(left), abs(right)
    elif kind == "spiked":
        left[:, 0], right[:, -1] = 1e6, -1e6
    elif kind == "alike":
        left, right = left[0] + 1e-7 * left, left[0] + 1e-7 * right
    elif kind == "tiny":
        left, right = left * 10.0 ** -rng.integers(0, 60, left.shape), right
    elif kind == "axes":
        left = np.eye(depth)[rng.integers(0, depth, len(left))]
    (i, j), dots, bound = screened(left, right, shift=None, gate=-2.0, slack=9.0, form=form)
    assert len(set(zip(i.tolist(), j.tolist(), strict=True))) == len(left) * len(right)
    one, two = ((table, *entry.survey(table)[:2]) for table in (left, right))
    decided = entry.listed_cosines(one, i, two, j)
    error = abs(dots[: len(i)].astype(np.float64) - decided)
    assert error.max() <= bound
    if form is screening.Units:
        counts = math.prod(units_of(table).roundings for table in (left, right))
        assert error.max() <= float32_bound(depth, screening.chain(depth), math.sqrt(counts))


def units_of(table):
    units = screening.packed(np.ascontiguousarray(table), *entry.survey(table)[:2])
    assert units.roundings == np.inf
    units.count_roundings(0, len(table))
    return units


@given(st.sampled_from([1, 3, 4, 96, 100, 145, 192, 193, 400, 770]), st.integers(0, 10**6))
def test_roundings_of_products_are_counted(depth, seed):
    """By hand, for one entry alone and for all of a row's; never more than the longest chain."""
    padded, chunk = screening.packed_depth(depth)
    place = np.arange(padded)
    length = np.minimum(chunk, padded - place // chunk * chunk)
    later = -(-padded // chunk) - np.maximum(place // chunk, 1)
    counts = (length - place % chunk + later + (not micro_f32.REGISTERS.fused))[:depth]
    assert counts.max() <= screening.chain(depth)
    rows = np.random.default_rng(seed).standard_normal((37, depth))
    rows[11] = 0.0
    squares = np.square(rows) / np.maximum(np.square(rows).sum(axis=1), 1e-9)[:, None]
    assert units_of(rows).roundings == pytest.approx((squares @ counts).max(), rel=2.0**-11)
    at = seed % depth
    one = np.zeros((1, depth), np.float32)
    one[0, at] = -3.0
    assert units_of(one).roundings == pytest.approx(counts[at], rel=2.0**-11)
    assert units_of(one).roundings >= counts[at]


def test_the_stated_bound_of_sums_is_that_of_the_chunks():
    """`mean_cosine` states what the chunks of the screen come to."""
    for depth in (*range(1, 2000), 4096, 9216, 16384, 65536, 10**6):
        stated = depth + 7 if depth < 144 else 123 + depth / 96
        assert product_bound(depth, screening.chain(depth)) <= stated * 2.0**-24 * 1.001


@pytest.mark.parametrize("depth", [1, 8, 100, 1000])
def test_deciding_cosine_is_within_its_bound(depth):
    rng = np.random.default_rng(depth)
    for scale in 1.0, 1e-9:
        x, y = rng.standard_normal((2, depth))
        y = x + scale * y
        rows = x.tolist(), y.tolist()
        error = abs(oracles.cosine(*rows) - oracles.exact_cosine(*rows))
        assert error <= decision_bound(depth)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("shift", [None, 0, 13, -30])
def test_screen_keeps_every_pair_that_may_win(signed, shift, form):
    """The gate rises, survivors are dropped again, and the best pairs are among what stays."""
    rng = np.random.default_rng(7)
    left, right = rng.standard_normal((2, 500, 20))
    bound = float32_bound(20, screening.chain(20))
    (i, j), *_ = screened(
        left, right, shift=shift, gate=-np.inf, slack=Error(bound, bound).slack, signed=signed,
        survivors=64, form=form,
    )  # fmt: skip
    cosines = left @ right.T / np.linalg.norm(left, axis=1)[:, None]
    cosines /= np.linalg.norm(right, axis=1)
    values = cosines if signed else abs(cosines)
    if shift is not None:
        rows, columns = np.indices(values.shape)
        values[columns + shift <= rows] = -2
    best = np.unravel_index(values.argmax(), values.shape)
    assert best in set(zip(i.tolist(), j.tolist(), strict=True))
    assert len(i) < 10


@pytest.mark.parametrize("form", FORMS)
def test_a_full_room_opens_the_tile(form):
    table = np.ones((200, 5))
    room = {"slack": 1e-5, "survivors": 100, "form": form}
    assert screened(table, table, shift=0, gate=-1.0, **room)[0] is None


@pytest.mark.skipif(len(FORMS) < 2, reason="no tile registers here")
@given(
    st.sampled_from([1, 5, 63, 64, 65, 768, 800]),
    st.sampled_from(["gaussian", "spiked", "tiny", "whole"]),
    st.integers(0, 10**6),
)
def test_digits_are_the_rows(depth, kind, seed):
    """Digits give the unit rows but for the rests, which are as long as is said; columns match."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((53, depth))
    if kind == "spiked":
        rows[:, 0] = 1e5
    elif kind == "tiny":
        rows *= 10.0 ** -rng.integers(0, 60, rows.shape)
    elif kind == "whole":
        rows = rng.integers(-1, 2, rows.shape).astype(float)
    rows[17] = 0.0
    side = packed(rows, digits.Digits)
    steps, chunk = digits.packed_steps(depth)
    found = np.zeros((3, side.padded, steps * 64))
    for start in range(0, steps, chunk):
        length = min(chunk, steps - start)
        at = slice(start * side.padded * 192, (start + length) * side.padded * 192)
        tiles = side.side.rows[at].reshape(-1, length, 3, 16, 64)
        beside = side.side.columns[at].reshape(-1, length, 3, 16, 16, 4)
        assert np.array_equal(tiles, beside.swapaxes(3, 4).reshape(tiles.shape))
        part = tiles.transpose(2, 0, 3, 1, 4).reshape(3, side.padded, length * 64)
        found[:, :, start * 64 : (start + length) * 64] = part
    scales = side.side.scales.astype(np.float64)
    values = scales[:, None] * (found[0] + found[1] / 256 + found[2] / 65536)
    lengths = np.linalg.norm(rows, axis=1)
    units = rows / np.where(lengths, lengths, 1.0)[:, None]
    assert not values[53:].any()
    assert not values[:, depth:].any()
    assert not values[17].any()
    rests = np.linalg.norm(units - values[:53, :depth], axis=1)
    rest, last, largest = side.lost
    assert rests.max() <= rest <= rests.max() + scales.max() * math.sqrt(depth) * 2.0**-29
    last_digits = np.linalg.norm(found[2], axis=1) * scales / 65536
    assert last == pytest.approx(last_digits.max(), rel=1e-6)
    assert largest == scales.max()
    assert (abs(units - values[:53, :depth]) <= scales[:53, None] * 2.0**-17 * (1 + 2**-20)).all()


SPECIALISATIONS = """
import numpy as np
from superpos_fast import coherence, nearest
from superpos_fast.kernels.cpu import compiling
for dtype in np.float16, np.float32, np.int64, np.float64:
    table = np.arange(1, 61).reshape(20, 3).astype(dtype)
    coherence(table)
    coherence(table[::-1, ::-1], np.asfortranarray(table), signed=True)
    nearest(table, k=3)
    nearest(table, table[:9], k=2, return_both=True)
    coherence(np.arange(1, 1281).reshape(20, 64).astype(dtype))
most = {"survey": 2, "scale": 2, "pack_units": 2, "pack_digits": 2, "decide_listed": 4}
for dispatcher in compiling._dispatchers:
    count = len(dispatcher.signatures)
    assert count <= most.get(dispatcher.__name__, 1), (dispatcher.__name__, count)
print("few")
"""


def test_few_specialisations():
    """One for each of float32 and float64 where rows are read as they came, else one."""
    assert output_of(SPECIALISATIONS) == ["few"]


GEOMETRY = """
import sys, numpy as np
from superpos_fast.kernels.cpu import simd
from dataclasses import replace
chosen = [entry for entry in simd.INSTRUCTION_SETS if entry.name == sys.argv[1]]
simd.INSTRUCTION_SETS = tuple(replace(entry, requires=frozenset()) for entry in chosen)
import superpos_fast
from superpos_fast.kernels.cpu import micro_f32, micro_f64
assert micro_f32.REGISTERS.name == sys.argv[1]
rng = np.random.default_rng(0)
for rows, depth in (97, 5), (150, 200), (60, 1100):
    table = rng.standard_normal((rows, depth)).astype(np.float32)
    for data in table, np.sign(table):
        for other in None, np.roll(data, 1, axis=1)[: rows // 2]:
            for signed in False, True:
                asked = dict(signed=signed, return_pair=True)
                ours = superpos_fast.coherence(data, other, **asked)
                assert ours == superpos_fast.coherence(data, other, backend="reference", **asked)
equal = np.repeat(rng.standard_normal((1, 40)), 700, axis=0) * (1 + 1e-3 * rng.random((700, 40)))
ours = superpos_fast.coherence(equal, return_pair=True)
assert ours.run.open_pairs > 0
assert ours == superpos_fast.coherence(equal, return_pair=True, backend="reference")
print("good", micro_f32.ROWS, micro_f32.COLUMNS, micro_f64.ROWS, micro_f64.COLUMNS)
"""


@pytest.mark.parametrize("name", ["avx512", "avx2", "neon", "portable"])
def test_every_register_block(name, tmp_path):
    """LLVM splits vectors wider than the machine's, so that every entry's block runs here."""
    words = output_of(GEOMETRY, name, environment={"NUMBA_CACHE_DIR": str(tmp_path)}, timeout=400)
    assert words[0] == "good"


def test_the_best_instruction_set_is_chosen():
    from superpos_fast.kernels.cpu.simd import choose_registers

    assert choose_registers(["sse2"]).name == "portable"
    assert choose_registers(["avx2"]).name == "portable"
    assert choose_registers(["avx2", "fma"]).name == "avx2"
    assert choose_registers(["avx2", "fma", "avx512f"]).name == "avx512"
    assert choose_registers(["neon"]).name == "neon"
    assert micro_f32.UNIT % micro_f32.COLUMNS == 0


@given(
    st.integers(1, 12),
    st.lists(st.integers(0, 90), min_size=1, max_size=12),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_lists_are_the_same_whoever_keeps_them(k, batches, magnitude, seed):
    """Handfuls are ranked in NumPy and more of them compiled, into one list, in any turn."""
    rng = np.random.default_rng(seed)
    ours = np.zeros((3, k)), np.full((3, k), -1)
    everything = []
    for size in batches:
        pairs = (
            rng.integers(0, 3, size),
            rng.integers(0, 10**6, size),
            rng.integers(-4, 5, size) / 4,
        )
        entry.keep_best(*pairs, magnitude, *ours)
        everything += zip(*(part.tolist() for part in pairs), strict=True)
    wanted = [
        sorted(
            (-(abs(cosine) if magnitude else cosine), key, cosine)
            for place, key, cosine in everything
            if place == group
        )[:k]
        for group in range(3)
    ]
    for group in range(3):
        kept = ours[1][group] >= 0
        found = sorted(zip(ours[1][group][kept], ours[0][group][kept], strict=True))
        assert found == sorted((key, cosine) for _, key, cosine in wanted[group])
    for sort in (entry.sort_lists, entry.sort_lists, lists_sorted, reference.sort_lists):
        sort(*ours, magnitude)
        for group in range(3):
            empty = k - len(wanted[group])
            names = [key for _, key, _ in wanted[group]] + [-1] * empty
            assert ours[1][group].tolist() == names
            assert ours[0][group, : k - empty].tolist() == [c for *_, c in wanted[group]]


def lists_sorted(best, keys, magnitude):
    lists.sort_lists(best, keys, -1.0 if magnitude else 1.0)


# What folds take


def buffers_of(thing):
    """The memory behind all arrays that hang on an object, each once."""
    found, seen, left = {}, set(), [thing]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, np.ndarray):
            while isinstance(one.base, np.ndarray):
                one = one.base
            found[id(one)] = one.nbytes
        elif isinstance(one, dict):
            left += one.values()
        elif isinstance(one, tuple | list):
            left += one
        elif hasattr(one, "__dict__"):
            left += vars(one).values()
    return sum(found.values())


@pytest.mark.parametrize("shape", [(1, 1, 6), (240, 480, 576), (3000, 24, 48)])
@pytest.mark.parametrize("count", [1, 10, 5000])
@pytest.mark.parametrize("kind", ["rows", "both", "all", "ranks", "total"])
def test_folds_take_what_they_say(kind, count, shape):
    rows, columns, piece = shape
    if kind == "ranks":
        thresholds = np.linspace(0.0, 1.0, count + 1)[1:]
        listed = np.zeros(count + 1, bool)
        fold = entry.RanksFold(*shape, 700, thresholds=thresholds, listed=listed, magnitude=True)
        size = entry.RanksFold.footprint(piece, thresholds=count)
        # The thresholds and what is asked of them are the statistic's own.
        shared = thresholds.nbytes + listed.nbytes
    elif kind == "total":
        fold, size, shared = entry.TotalFold(*shape, 0), entry.TotalFold.footprint(piece), 0
    else:
        count = min(count, 1024)
        fold = entry.BestFold(*shape, 700, per=kind, k=count, magnitude=False)
        size, shared = entry.BestFold.footprint(piece, per=kind, k=count), 0
    gates = [np.zeros(rows), np.zeros(columns)] if kind in ("rows", "both", "all") else []
    for error in Error(1e-5, 1e-5), Error(1e-2, 0.0):
        fold.aim(error, *gates)
    fold.aim(EXACT, *(gate[:piece] for gate in gates))
    listing = 8 + (0 if kind == "total" else 16 * max(700, piece))
    taken = buffers_of(fold) - shared - listing
    said = size.whole + size.line * (rows + columns)
    assert taken <= said
    assert kind == "ranks" or said <= 1.5 * taken + 2**13
