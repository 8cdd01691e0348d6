"""Normals by their place in a stream: known answers, the same bits everywhere, a true law."""

import ctypes
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import superpos_fast as sf
from helpers import glibc_on_x86_64, needs_compiled, output_of
from superpos_fast.kernels import normals, reference
from superpos_fast.kernels.cpu import entry

TYPES = [np.float32, np.float64]
# Of the first ten thousand numbers, as they were when the stream was defined.
DIGESTS = {
    "float32": "82aed96fb99a91fd6efcec2a362b5fc22ef8f6e7554c6bfcc54945f933355e5c",
    "float64": "bb2e03104bb297dfdc36a84a86cac4e985b9d09e5e48992915a9c5b6b34c3ad3",
}
DRAWN = """
import hashlib, sys
import superpos_fast as sf
for dtype in "float32", "float64":
    rows = sf.random_rows(1000, 10, seed=2**63 + 1, dtype=dtype).read(0, 1000)
    print(hashlib.sha256(rows.astype(rows.dtype.newbyteorder("<")).tobytes()).hexdigest())
"""


def bits(array):
    return array.view(f"i{array.itemsize}").tolist()


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_its_authors_answers(counter, key, answer):
    """Those of kat_vectors in the authors' Random123."""
    found = normals.philox([np.array([word], np.uint64) for word in counter], key)
    assert [f"{int(word[0]):08x}" for word in found] == answer.split()


@needs_compiled
@given(
    seed=st.integers(0, 2**64 - 1),
    first=st.one_of(st.integers(0, 2**62), st.integers(0, 600)),
    count=st.integers(0, 900),
    dtype=st.sampled_from(TYPES),
)
def test_the_compiled_stream_has_the_bits_of_the_reference(seed, first, count, dtype):
    found = entry.normals(seed, first, count, dtype)
    assert found.shape == (count,)
    assert found.dtype == dtype
    assert bits(found) == bits(reference.normals(seed, first, count, dtype))


@given(st.integers(0, 2**40), st.integers(0, 700), st.integers(0, 700), st.sampled_from(TYPES))
def test_any_part_is_drawn_without_the_others(first, before, count, dtype):
    whole = reference.normals(5, first, before + count, dtype)
    assert bits(whole[before:]) == bits(reference.normals(5, first + before, count, dtype))


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NUMBA_DISABLE_JIT": "1"},
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
    ],
    ids=["compiled", "reference", "generic"],
)
def test_the_stream_is_what_it_was_on_any_machine(environment, tmp_path):
    folder = {"NUMBA_CACHE_DIR": str(tmp_path)} if "NUMBA_CPU_NAME" in environment else {}
    assert output_of(DRAWN, environment=environment | folder) == list(DIGESTS.values())


@pytest.mark.parametrize("dtype", TYPES)
def test_normals_are_those_of_their_bits(dtype):
    """Box and Muller's, with 40 digits, of the same u and v; none is 0, infinite or NaN."""
    size = 8 * np.dtype(dtype).itemsize
    whole = np.dtype(f"u{size // 8}").type
    rng = np.random.default_rng(0)
    edges = [2**size - 1 - n for n in range(300)] + [*range(300)]
    edges += [2 ** (size - 1) + n for n in range(-300, 300)] + [1 << n for n in range(size)]
    edges += [n * 2 ** (size - 3) + m for n in range(8) for m in range(-3, 4) if n or m >= 0]
    u = np.array(edges + rng.integers(0, 2**size, 5000, whole).tolist(), whole)
    v = rng.permutation(u)
    # The rounding of u near 1, where ln u is near 0, is the largest: it is part of the stream.
    uniform = u.astype(dtype) * dtype(2.0**-size) + dtype(2.0 ** (-size - 1))
    uniform = np.minimum(uniform, np.nextafter(dtype(1), dtype(0)))
    found = normals.pair(u, v, dtype)
    assert all(values.dtype == dtype and (values != 0).all() for values in found)
    with mpmath.workdps(40):
        for place, (near, turn) in enumerate(zip(uniform.tolist(), v.tolist(), strict=True)):
            length = mpmath.sqrt(-2 * mpmath.log(near))
            turned = (2 * turn + 1) / mpmath.mpf(2) ** size
            for values, true in zip(
                found, (mpmath.cospi(turned), mpmath.sinpi(turned)), strict=True
            ):
                error = abs(float(values[place]) - length * true)
                assert error <= 3 * float(np.finfo(dtype).eps) * length


@pytest.mark.parametrize("dtype", TYPES)
def test_they_are_normal(dtype):
    found = reference.normals(11, 0, 400_000, dtype).astype(float)
    assert stats.kstest(found, "norm").pvalue > 1e-3
    beyond = (np.abs(found) > 3).sum()
    assert stats.binomtest(int(beyond), len(found), 2 * stats.norm.sf(3)).pvalue > 1e-3
    # Of a call, of calls that lie together, of blocks and of rows.
    for lag in (1, 63, 64, 128, 192, 256, 768):
        correlation = np.corrcoef(found[lag:], found[:-lag])[0, 1]
        of_squares = np.corrcoef(found[lag:] ** 2, found[:-lag] ** 2)[0, 1]
        assert max(abs(correlation), abs(of_squares)) < 5 / math.sqrt(len(found))


def test_other_seeds_have_other_streams():
    streams = [reference.normals(seed, 0, 100_000, np.float32) for seed in (0, 1, 2**32, 2**63)]
    near = np.corrcoef(streams) - np.eye(len(streams))
    assert np.abs(near).max() < 5 / math.sqrt(100_000)


def test_types_do_not_share_random_bits():
    """From the same bits the first pair of each call would have the same length, or nearly."""
    calls = normals.CALLS
    narrow, wide = (reference.normals(0, 0, 2 * calls, dtype).astype(float) for dtype in TYPES)
    lengths = [np.hypot(found[:calls], found[calls:]) for found in (narrow, wide)]
    assert (np.abs(lengths[0] - lengths[1]) > 1e-3).sum() > calls // 2


def test_random_rows_are_the_stream():
    rows = sf.random_rows(30, 7, seed=3)
    whole = reference.normals(3, 0, 210, np.float32).reshape(30, 7)
    assert np.array_equal(rows.read(0, 30), whole)
    assert np.array_equal(sf.random_rows(30, 7, seed=3, block=8).read(8, 16), whole[8:16])
    with pytest.raises(ValueError, match=r"n, d: must be at most 2\^62 entries together"):
        sf.random_rows(2**40, 2**23)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32])
def test_numbers_of_any_integer_type(kind):
    start = 2**24
    rows = sf.random_rows(start + 8, kind(64), seed=kind(3), block=8)
    assert np.array_equal(
        rows.read(start, start + 8).ravel(), reference.normals(3, 64 * start, 512, np.float32)
    )


@glibc_on_x86_64
def test_no_rounding_mode_changes_random_rows():
    library = ctypes.CDLL(None)
    rows, upward = sf.random_rows(4096, 16), 0x800
    expected = rows.read(0, 4096)
    before = library.fegetround()
    try:
        assert library.fesetround(upward) == 0
        found = rows.read(0, 4096)
    finally:
        library.fesetround(before)
    assert np.array_equal(found, expected)
