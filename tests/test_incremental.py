"""Vectors that come block by block: at any moment the answers are those of all at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import superpos_fast as sf
from helpers import gaussian
from superpos_fast.kernels import reference

TABLE = gaussian(1200, 24)
TABLE[700] = TABLE[3] * 2
HOLED = TABLE.copy()
HOLED[[0, 5, 800]] = 0


def check(found, table, k, signed=False, zero="raise", **bins):
    options = {"signed": signed, "zero": zero}
    assert found.coherence == sf.coherence(table, return_pair=True, **options)
    assert found.nearest == sf.nearest(table, k=k, **options)
    counts, edges = sf.histogram(table, zero=zero, **bins)
    assert np.array_equal(found.histogram[0], counts)
    assert np.array_equal(found.histogram[1], edges)
    assert np.array_equal(found.vectors, table)
    assert len(found) == len(table)


@settings(max_examples=30)
@given(
    cuts=st.lists(st.integers(0, 1200), max_size=5),
    k=st.integers(1, 4),
    signed=st.booleans(),
    dtype=st.sampled_from(["f2", "f4", "f8", "i4"]),
    memory=st.sampled_from([None, "4MiB"]),
)
def test_cut_anywhere(cuts, k, signed, dtype, memory):
    table = (HOLED * 100).astype(dtype)
    options = {"of": "abs_cosine", "bins": 20}
    found = sf.Incremental(24, k=k, signed=signed, zero="skip", memory=memory, **options)
    for block in np.split(table, sorted(cuts)):
        assert found.add(block) is found
    check(found, table, k, signed, "skip", **options)


def test_after_every_block():
    found = sf.Incremental(24, k=2)
    for end in range(100, 1300, 100):
        found.add(TABLE[end - 100 : end])
        check(found, TABLE[:end], 2)
    assert repr(found) == "Incremental(1200 x 24)"


def test_one_by_one():
    found = sf.Incremental(24)
    assert len(found) == 0
    assert np.isnan(found.coherence.value)
    assert found.histogram[0].sum() == 0
    for row in TABLE[:40]:
        found.add(row[None])
    check(found, TABLE[:40], 1)


def test_types_may_change():
    found = sf.Incremental(24)
    found.add(TABLE[:300].astype("f2")).add(TABLE[300:600].astype("f8") / 3).add(TABLE[600:])
    table = np.concatenate([TABLE[:300].astype("f2").astype("f8"), TABLE[300:600].astype("f8") / 3])
    check(found, np.concatenate([table, TABLE[600:]]), 1)


def test_only_pairs_with_new_vectors_are_looked_at(monkeypatch):
    seen = []
    found = sf.Incremental(24, backend="reference", bins=3).add(TABLE[:200])
    decide = reference.decide_piece

    def counting(workspace, left, right, shift, folds):
        seen.append(len(left[0]) * len(right[0]))
        return decide(workspace, left, right, shift, folds)

    monkeypatch.setattr(reference, "decide_piece", counting)
    found.add(TABLE[200:210])
    assert sum(seen) <= 210 * 10
    check(found, TABLE[:210], 1, bins=3)


def test_what_is_refused_is_not_added():
    found = sf.Incremental(24).add(TABLE[:300])
    with pytest.raises(ValueError, match=r"^block: must have 24 columns, got shape \(5, 7\)"):
        found.add(np.ones((5, 7)))
    with pytest.raises(ValueError, match=r"^block: rows must not be zero"):
        found.add(HOLED[:3])
    with pytest.raises(ValueError, match=r"^block: entries must be finite"):
        found.add(np.full((2, 24), np.nan))
    with pytest.raises(TypeError, match=r"^block: must be real"):
        found.add(np.ones((2, 24), complex))
    check(found, TABLE[:300], 1)


def test_an_interrupted_block_is_not_added():
    progress = {"stop": False}
    found = sf.Incremental(24, progress=lambda done, total: not progress["stop"], threads=1)
    found.add(TABLE[:300])
    progress["stop"] = True
    with pytest.raises(sf.Interrupted):
        found.add(gaussian(9000, 24))
    progress["stop"] = False
    check(found.add(TABLE[300:]), TABLE, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"d": 0}, "d: must be between"),
        ({"k": 0}, "k: must be between"),
        ({"of": "length"}, "of: must be"),
        ({"bins": 0}, "bins: must be"),
        ({"zero": "keep"}, "zero: must be"),
        ({"shard": (0, 2)}, "shard: must be left out of what grows"),
        ({"checkpoint": "run.ckpt"}, "checkpoint: must be left out of what grows"),
        ({"banana": 1}, "banana: must be a keyword"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        sf.Incremental(**({"d": 3} | arguments))
