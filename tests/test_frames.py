"""The frames are what they claim to be: all pairs counted in exact arithmetic where few enough."""

import numpy as np
import pytest

import frames

COUNTS = [
    (frames.d4, 4, {"0": 18, "1/2": 48}),
    (frames.e6, 6, {"0": 270, "1/2": 360}),
    (frames.e7, 7, {"0": 945, "1/2": 1008}),
    (frames.e8, 8, {"0": 3780, "1/2": 3360}),
    (frames.lines28, 7, {"1/3": 378}),
    (lambda: frames.basis(9), 9, {"0": 36}),
    (lambda: frames.hadamard(4), 16, {"0": 120}),
    (lambda: frames.simplex(12), 11, {"1/11": 66}),
    (lambda: frames.kerdock(4), 16, {"0": 9 * 120, "1/4": 36 * 256}),
    (lambda: frames.kerdock(6), 64, {"0": 33 * 2016, "1/8": 528 * 4096}),
    (lambda: frames.gold(5), 32, {"0": 269824, "1/4": 253952}),
    (lambda: frames.mcfarland(3), 28, {"1/7": 2016}),
    (lambda: frames.mcfarland(5), 496, {"1/31": 523776}),
]


def names(counts):
    return [f"{place}-d{case[1]}" for place, case in enumerate(counts)]


def squared_cosines(rows):
    """Numerators and denominators of all pairs' squared cosines, i < j."""
    gram = np.rint(rows.astype(float) @ rows.astype(float).T).astype(np.int64)
    norm = np.diagonal(gram)
    i, j = np.triu_indices(len(rows), 1)
    return gram[i, j] ** 2, norm[i] * norm[j]


@pytest.mark.parametrize(("frame", "rank", "counts"), COUNTS, ids=names(COUNTS))
def test_pair_counts(frame, rank, counts):
    rows = frame()
    above, below = squared_cosines(rows)
    found = {}
    for name in counts:
        numerator, denominator = map(int, (name if "/" in name else name + "/1").split("/"))
        found[name] = np.count_nonzero(above * denominator**2 == numerator**2 * below)
    assert found == counts
    assert sum(counts.values()) == len(above)
    assert np.linalg.matrix_rank(rows.astype(float)) == rank


def tight(rows, rank):
    unit = rows / np.linalg.norm(rows.astype(float), axis=1, keepdims=True)
    return np.allclose(((unit.T @ unit) ** 2).sum(), len(rows) ** 2 / rank)


@pytest.mark.parametrize("m", [4, 6, 8])
def test_kerdock_is_bases_side_by_side(m):
    """Every block is an orthogonal basis and all blocks are mutually unbiased."""
    rows, d = frames.kerdock(m).astype(np.float32), 1 << m
    assert rows.shape == (d * d // 2 + d, d)
    assert tight(rows, d)
    blocks = rows.reshape(-1, d, d)
    for block in blocks[:3]:
        dots = np.abs(np.einsum("aik,bjk->abij", block[None], blocks)[0])
        same = (blocks == block).all(axis=(1, 2))
        assert same.sum() == 1
        assert (dots[same] == d * np.eye(d)).all()
        assert (dots[:-1][~same[:-1]] == 1 << m // 2).all()
        assert (dots[-1] == 1).all()


def test_gold():
    """Translations of (a, b) act on the rows, so one row against all stands for every row."""
    rows = frames.gold(7).astype(np.float32)
    assert rows.shape == (16384, 128)
    assert tight(rows, 128)
    for i in (0, 1, 9999):
        values, counts = np.unique(np.abs(rows @ rows[i]), return_counts=True)
        assert values.tolist() == [0, 16, 128]
        assert counts.tolist() == [2 * 67624960 // 16384, 2 * 66584576 // 16384, 1]


def test_leech():
    """One row against all stands for every row: the automorphisms are transitive on the lines."""
    rows = frames.leech().astype(np.float32)
    assert rows.shape == (98280, 24)
    assert (rows.T @ rows == 32 * 98280 / 24 * np.eye(24)).all()
    for i in (0, 600, 50_000, 98_279):
        values, counts = np.unique(np.abs(rows @ rows[i]), return_counts=True)
        assert values.tolist() == [0, 8, 16, 32]
        assert counts.tolist() == [46575, 47104, 4600, 1]
    assert 46575 * 98280 // 2 == 2288695500
    assert 47104 * 98280 // 2 == 2314690560
    assert 4600 * 98280 // 2 == 226044000


@pytest.mark.parametrize("q", [13, 29, 101])
def test_paley(q):
    rows = frames.paley(q)
    assert rows.shape == (q + 1, (q + 1) // 2)
    gram = 2 * rows @ rows.T
    off = ~np.eye(q + 1, dtype=bool)
    np.testing.assert_allclose(np.abs(gram[off]), 1 / np.sqrt(q), rtol=1e-11)
    np.testing.assert_allclose(np.diagonal(gram), 1, rtol=1e-12)


@pytest.mark.parametrize("p", [3, 5, 7])
def test_mutually_unbiased(p):
    rows = frames.mutually_unbiased(p)
    assert rows.shape == (2 * p * (p + 1), 2 * p)
    assert tight(rows, 2 * p)
    half = len(rows) // 2
    lines = rows[:half, :p] + 1j * rows[:half, p:]
    moduli = np.abs(lines @ lines.conj().T)[np.triu_indices(half, 1)]
    np.testing.assert_allclose(moduli[moduli > 1e-9], 1 / np.sqrt(p))
    assert np.count_nonzero(moduli < 1e-9) == (p + 1) * p * (p - 1) // 2
