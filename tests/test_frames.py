"""The frames are what they claim to be: all pairs counted, exactly where rows are integers."""

import itertools
import math

import numpy as np
import pytest

from helpers import whole_e6
from superpos_fast import count, frame_potential, histogram, within_tolerance
from superpos_fast.capacity import bounds, frames
from superpos_fast.capacity.families import FAMILIES
from superpos_fast.capacity.frames.algebra import BinaryField, hadamard_matrix

# What each has: a frame, its name, lines, dimensions, {|cos|: pairs}
KNOWN = [
    (frames.d4, 12, 4, {0: 18, 1 / 2: 48}),
    (frames.e6, 36, 6, {0: 270, 1 / 2: 360}),
    (frames.e7, 63, 7, {0: 945, 1 / 2: 1008}),
    (frames.e8, 120, 8, {0: 3780, 1 / 2: 3360}),
    (frames.lines28, 28, 7, {1 / 3: 378}),
    (lambda: frames.basis(9), 9, 9, {0: 36}),
    (lambda: frames.hadamard(4), 16, 16, {0: 120}),
    (lambda: frames.simplex(1), 2, 1, {1: 1}),
    (lambda: frames.simplex(11), 12, 11, {1 / 11: 66}),
    (frames.bukh_cox, 102, 100, {1 / 67: 5151}),
    (lambda: frames.bukh_cox(2, 5), 10, 9, {1 / 9: 45}),
    (lambda: frames.bukh_cox(6, 2), 12, 7, {1 / 3: 66}),
    (lambda: frames.paley(5), 6, 3, {5**-0.5: 15}),
    (lambda: frames.paley(29), 30, 15, {29**-0.5: 435}),
    (lambda: frames.paley(1009), 1010, 505, {1009**-0.5: 509_545}),
    (lambda: frames.steiner(4), 16, 6, {1 / 3: 120}),
    (lambda: frames.steiner(12), 144, 66, {1 / 11: 10_296}),
    (lambda: frames.steiner(24), 576, 276, {1 / 23: 165_600}),
    (lambda: frames.mcfarland(3), 64, 28, {1 / 7: 2016}),
    (lambda: frames.mcfarland(5), 1024, 496, {1 / 31: 523_776}),
    (lambda: frames.kerdock(4), 144, 16, {0: 1080, 1 / 4: 9216}),
    (lambda: frames.kerdock(6), 2112, 64, {0: 33 * 2016, 1 / 8: 528 * 4096}),
    (lambda: frames.kerdock(8), 33_024, 256, {0: 129 * 32_640, 1 / 16: 8256 * 65_536}),
    (lambda: frames.gold(3), 64, 8, {0: 1120, 1 / 2: 896}),
    (lambda: frames.gold(5), 1024, 32, {0: 269_824, 1 / 4: 253_952}),
    (lambda: frames.gold(7), 16_384, 128, {0: 67_624_960, 1 / 8: 66_584_576}),
    (lambda: frames.dual_bch(4, 2), 256, 16, {0: 9600, 1 / 4: 20_480, 1 / 2: 2560}),
    (lambda: frames.dual_bch(6, 1), 64, 64, {0: 2016}),
    (
        frames.leech, 98_280, 24,
        {0: 2_288_695_500, 1 / 4: 2_314_690_560, 1 / 2: 226_044_000},
    ),
]  # fmt: skip
LARGE = 10_000  # all pairs of these are counted in test_family_frames
NOT_TIGHT = "Bukh-Cox"


def named(large):
    return [pytest.param(*case, id=case[0]().name) for case in KNOWN if (case[1] > LARGE) == large]


@pytest.mark.parametrize(("make", "n", "d", "known"), named(False))
def test_pair_counts(make, n, d, known):
    """By `count` and `histogram`; of rows that are no integers within a few roundings."""
    frame = make()
    rows = frame.array()
    assert rows.shape == frame.shape == (n, d)
    assert (len(frame), frame.d) == (n, d)
    assert frame.coherence == max(known)
    assert frame.exact
    assert frame.cosines == known
    assert list(frame.cosines) == sorted(known)
    slack = 0.0 if rows.dtype.kind == "i" else 1e-13
    values = np.array(sorted(known))
    reached = [sum(pairs for cosine, pairs in known.items() if cosine >= value) for value in values]
    assert count(rows, cosine=np.maximum(values - slack, 0)).tolist() == reached
    assert within_tolerance(rows, cosine=min(1.0, max(known) + slack))
    middles = [0, *((a + b) / 2 for a, b in itertools.pairwise(values)), 1]
    found, _ = histogram(rows, bins=middles, of="abs_cosine")
    assert found.tolist() == [known[value] for value in values]
    if NOT_TIGHT not in frame.name:
        assert frame_potential(rows, precision="float64") == pytest.approx(n * n / d, rel=1e-12)


@pytest.mark.parametrize(("make", "n", "d", "known"), named(True))
def test_large_frames(make, n, d, known):
    """Automorphisms take every row (of Kerdock's every basis) to every other: a few tell all."""
    frame = make()
    rows = frame.array()
    assert rows.shape == frame.shape == (n, d)
    assert frame.cosines == known
    some = np.arange(0, n, n // 8)
    values = np.array([*known, 1.0])
    middles = [0, *((a + b) / 2 for a, b in itertools.pairwise(values)), 1]
    for at in some.tolist():
        found, _ = histogram(rows[at : at + 1], rows, bins=middles, of="abs_cosine")
        assert found.tolist() == [*(2 * pairs // n for pairs in known.values()), 1]
        reached = count(rows[at : at + 1], rows, cosine=values)
        assert np.diff(reached[::-1]).tolist() == found[-2::-1].tolist()
    assert frame_potential(rows, precision="float64") == pytest.approx(n * n / d, rel=1e-12)


@pytest.mark.parametrize(("make", "n", "d", "known"), named(False))
def test_rows_come_in_any_pieces(make, n, d, known):
    frame = make()
    rows = frame.array()
    if n < 300:  # others are tight: their frame potential is n^2 over their rank
        assert np.linalg.matrix_rank(rows.astype(float)) == d
    assert np.array_equal(np.concatenate(list(frame.blocks(7 if n < 300 else 197))), rows)
    assert np.array_equal(np.concatenate(list(frame.blocks())), rows)
    assert np.array_equal(np.asarray(frame, np.float32), rows.astype(np.float32))
    cut = n // 3
    assert np.array_equal(frame.rows(cut, cut + 1), rows[cut : cut + 1])
    assert np.array_equal(frame.rows(cut), rows[cut:])
    assert frame.rows(0, 0).shape == (0, d)
    assert np.array_equal(frame.rows(1, n), rows[1:])


def test_functions_take_frames():
    assert count(frames.e8(), cosine=0.5) == 3360
    assert count(frames.d4(), frames.basis(4), cosine=0.5) == 24
    assert count(frames.kerdock(6).source(100), cosine=[0.125, 0]).tolist() == [
        2_162_688,
        2_229_216,
    ]
    with pytest.raises(ValueError, match="copy"):
        np.array(frames.d4(), copy=False)


def test_e6_is_e6():
    """The six coordinates and the eight have the same cosines."""
    six, eight = frames.e6().array(), whole_e6().astype(float)
    np.testing.assert_allclose(six @ six.T, 2 * (eight @ eight.T), atol=1e-14)


@pytest.mark.parametrize("m", [4, 6, 8])
def test_kerdock_is_bases_side_by_side(m):
    """Every block is an orthogonal basis and all blocks are mutually unbiased."""
    rows, d = frames.kerdock(m).array().astype(np.float32), 1 << m
    blocks = rows.reshape(-1, d, d)
    for block in blocks[:3]:
        dots = np.abs(np.einsum("aik,bjk->abij", block[None], blocks)[0])
        same = (blocks == block).all(axis=(1, 2))
        assert same.sum() == 1
        assert (dots[same] == d * np.eye(d)).all()
        assert (dots[:-1][~same[:-1]] == 1 << m // 2).all()
        assert (dots[-1] == 1).all()


@pytest.mark.slow
def test_kerdock_10_by_sampled_rows():
    """525,312 lines of R^1024, never together: some of them against all, block by block."""
    frame = frames.kerdock(10)
    assert frame.shape == (525_312, 1024)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(frame.n, 24, replace=False))
    sample = np.concatenate([frame.rows(at, at + 1) for at in chosen.tolist()])
    edges = [0, 1 / 64, 1 / 32, 1 / 16, 1]
    found = np.zeros(4, np.int64)
    for block in frame.blocks(16_384):
        found += histogram(sample, block, bins=edges, of="abs_cosine")[0]
    # Of each row: the rest of its basis, all other bases, itself.
    assert found.tolist() == [24 * 1023, 0, 24 * 512 * 1024, 24]
    degrees = {0.0: 1023, 1 / 32: 512 * 1024}
    assert frame.cosines == {value: frame.n * of_one // 2 for value, of_one in degrees.items()}


def test_dual_bch_of_order_three():
    frame = frames.dual_bch(5, 3)
    values, rows = np.array([*frame.cosines, 1.0]), frame.array()
    for at in (0, 777, 32_767):  # the rows are a group
        reached = count(rows[at : at + 1], rows, cosine=values)
        degrees = np.diff([0, *reached[::-1]])[::-1].tolist()
        assert degrees == [*(2 * pairs // frame.n for pairs in frame.cosines.values()), 1]
    assert frame.coherence == 0.5 <= 4 / math.sqrt(32)
    unknown = frames.dual_bch(9, 4)
    assert unknown.shape == (2**36, 512)
    assert unknown.cosines is None
    assert not unknown.exact
    assert unknown.coherence == 6 / math.sqrt(512)
    some = np.concatenate([unknown.rows(at, at + 50) for at in (0, 2**20, 2**35 - 7, 2**36 - 50)])
    assert within_tolerance(some, cosine=unknown.coherence)


@pytest.mark.parametrize("p", [3, 5, 7, 31])
def test_mutually_unbiased(p):
    frame = frames.mutually_unbiased(p)
    rows = frame.array()
    assert rows.shape == (2 * p * (p + 1), 2 * p)
    half = len(rows) // 2
    lines = rows[:half, :p] + 1j * rows[:half, p:]
    i, j = np.triu_indices(half, 1)
    moduli = np.abs(lines @ lines.conj().T)[i, j]
    np.testing.assert_allclose(moduli[moduli > 1e-9], 1 / np.sqrt(p))
    assert np.count_nonzero(moduli < 1e-9) == (p + 1) * p * (p - 1) // 2
    if p == 31:
        assert np.count_nonzero(moduli < 1e-9) == 14_880
        assert np.count_nonzero(moduli > 1e-9) == 476_656
    values = np.array(list(frame.cosines))
    middles = [0, *((a + b) / 2 for a, b in itertools.pairwise(values)), 1]
    found, _ = histogram(rows, bins=middles, of="abs_cosine")
    assert found.tolist() == list(frame.cosines.values())
    assert frame_potential(rows) == pytest.approx(frame.n**2 / frame.d, rel=1e-5)


# What they are made of


@pytest.mark.parametrize("degree", range(2, 14))
def test_binary_fields(degree):
    field = BinaryField(degree)
    x = field.elements
    assert sorted(field.power(2, n).item() for n in range(1, field.size)) == list(
        range(1, field.size)
    )
    for a, b, c in np.random.default_rng(0).integers(0, field.size, (20, 3)):
        left = field.multiply(a, b ^ c)
        assert left == field.multiply(a, b) ^ field.multiply(a, c)
        assert field.multiply(field.multiply(a, b), c) == field.multiply(a, field.multiply(b, c))
    traces = field.trace(x)
    assert set(traces.tolist()) == {0, 1}
    assert traces.sum() == field.size // 2
    assert np.array_equal(field.trace(field.multiply(x, x)), traces)


@pytest.mark.parametrize("order", [1, 2, 4, 8, 12, 20, 24, 44, 48, 96, 168])
def test_hadamard_matrices(order):
    matrix = hadamard_matrix(order)
    assert (np.abs(matrix) == 1).all()
    assert (matrix[:, 0] == 1).all()
    assert np.array_equal(matrix.astype(int) @ matrix.T, order * np.eye(order))


def test_families_hold_what_is_made_here():
    """Where a family claims a set, the set that is made has its lines, dimensions and coherence."""
    made = [
        ("conference", frames.paley(29), 0),
        ("steiner", frames.steiner(8), 0),
        ("steiner", frames.mcfarland(5), 0),
        ("simplex", frames.simplex(7), 0),
        ("simplex", frames.bukh_cox(3, 34), 0),
        ("simplex", frames.bukh_cox(5, 4), 0),
        ("equiangular", frames.lines28(), 0),
        ("lattice", frames.e7(), 0),
        ("lattice", frames.leech(), 0),
        ("roots", frames.d4(), 0),
        ("delsarte-goethals", frames.kerdock(6), 0),
        ("delsarte-goethals", frames.gold(7), 128),
        ("dual-bch", frames.dual_bch(8, 2), 256),
        ("weil", frames.mutually_unbiased(13), 0),
    ]
    members_of = {family.name: family.members for family in FAMILIES}
    for name, frame, axes in made:
        mu = frame.coherence if axes != 256 else 2 / math.sqrt(256)
        members = members_of[name](frame.d, mu, False)
        counts = {(int(members.dims[at]), members.count(at)) for at in range(len(members.dims))}
        assert (frame.d, frame.n + axes) in counts
        fewer = members_of[name](frame.d, mu * (1 - 1e-9), False)
        tight = {(int(fewer.dims[at]), fewer.count(at)) for at in range(len(fewer.dims))}
        assert (frame.d, frame.n + axes) not in tight


@pytest.mark.parametrize(
    "frame",
    [frames.e6(), frames.e7(), frames.e8(), frames.lines28(), frames.bukh_cox(), frames.leech()],
    ids=lambda frame: frame.name,
)
def test_optimal_frames_attain_the_bounds(frame):
    found = bounds(frame.d, cosine=frame.coherence)
    assert found.upper == frame.n
    assert found.exact


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: frames.kerdock(5), ValueError, "m: must be even, got 5"),
        (lambda: frames.kerdock(2), ValueError, "m: must be between 4 and 14, got 2"),
        (lambda: frames.gold(4), ValueError, "m: must be odd, got 4"),
        (lambda: frames.paley(21), ValueError, "q: must be a prime of the form 4k + 1, got 21"),
        (lambda: frames.paley(7), ValueError, "q: must be a prime of the form 4k + 1, got 7"),
        (lambda: frames.mutually_unbiased(9), ValueError, "p: must be an odd prime, got 9"),
        (
            lambda: frames.steiner(10),
            ValueError,
            "v: must be 2^k, or 2^k (q + 1) with a prime q of the form 4k + 3, got 10",
        ),
        (
            lambda: frames.dual_bch(4, 3),
            ValueError,
            "t: must have (2t - 2)^2 < 2^m = 16, got 3",
        ),
        (lambda: frames.simplex(2.0), TypeError, "d: must be a whole number, got 2.0"),
        (lambda: frames.e8().rows(5, 200), ValueError, "stop: must be between 5 and 120, got 200"),
        (lambda: frames.e8().rows(-1), ValueError, "start: must be between 0 and 120, got -1"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error) as refusal:
        call()
    assert str(refusal.value) == message
