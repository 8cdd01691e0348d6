"""Divided questions: shards make up the answer to the bit, whatever they are merged from."""

import doctest
import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import superpos_fast as sf
from helpers import gaussian, stop_after
from superpos_fast import overview

TABLE = gaussian(4000, 24)
TABLE[3000] = TABLE[3]
HOLED = TABLE.copy()
HOLED[[0, 41, 3000, 3999]] = 0
OTHER = gaussian(900, 24, seed=1)

QUESTIONS = {
    "coherence": lambda x, **k: sf.coherence(x, return_pair=True, **k),
    "coherence, signed": lambda x, **k: sf.coherence(x, signed=True, **k),
    "coherence, two sets": lambda x, **k: sf.coherence(x, OTHER, return_pair=True, **k),
    "nearest": lambda x, **k: sf.nearest(x, k=3, **k),
    "nearest, both ways": lambda x, **k: sf.nearest(x, OTHER, k=2, return_both=True, **k),
    "babel": lambda x, **k: sf.babel(x, 4, **k),
    "mmcs": lambda x, **k: sf.mmcs(x, OTHER, **k),
    "mutual_nearest": lambda x, **k: sf.mutual_nearest(x, OTHER, **k),
    "pairs": lambda x, **k: sf.pairs(x, angle=35, **k),
    "pairs, top": lambda x, **k: sf.pairs(x, top=50, **k),
    "count": lambda x, **k: sf.count(x, angle=[40, 60, 90], **k),
    "count, all": lambda x, **k: sf.count(x, angle=90, **k),
    "histogram": lambda x, **k: sf.histogram(x, bins=[0, 30, 60, 90, 180], **k),
    "within_tolerance": lambda x, **k: sf.within_tolerance(x, angle=0.001, **k),
    "mean_cosine": lambda x, **k: sf.mean_cosine(x, **k),
    "mean_cosine, float64": lambda x, **k: sf.mean_cosine(x, precision="float64", **k),
    "describe": lambda x, **k: sf.describe(x, **k),
    "describe, two sets": lambda x, **k: sf.describe(x, OTHER, **k),
}


def same(one, two):
    if isinstance(one, tuple):
        return all(map(same, one, two))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, two)
    return one == two


def merged(name, table, shares, **options):
    parts = [QUESTIONS[name](table, shard=(k, shares), **options) for k in range(shares)]
    return sf.merge(parts)


@pytest.mark.parametrize("name", QUESTIONS)
def test_shards_make_up_the_answer(name, tmp_path):
    for table in (TABLE, HOLED):
        expected = QUESTIONS[name](table, zero="skip")
        assert same(merged(name, table, 3, zero="skip"), expected)


def as_made_by(name, **options):
    return lambda k: getattr(sf, name)(TABLE, shard=(k, 4), **options)


@pytest.mark.parametrize("how", ["parts", "saved", "checkpoints"])
def test_parts_come_from_memory_or_files(how, tmp_path):
    parts = []
    for k in (2, 0, 3, 1):
        file = tmp_path / f"{k}.part"
        checkpoint = file if how == "checkpoints" else None
        part = sf.nearest(TABLE, k=2, shard=(k, 4), checkpoint=checkpoint)
        if how == "saved":
            part.save(file)
        parts.append(part if how == "parts" else file)
    assert sf.merge(parts) == sf.nearest(TABLE, k=2)


@given(
    shares=st.integers(1, 60),
    memory=st.sampled_from([None, "2MiB", "4MiB"]),
    threads=st.integers(1, 3),
    rows=st.integers(2, 4000),
)
def test_any_number_of_shards(shares, memory, threads, rows):
    options = {"memory": memory, "threads": threads}
    table = TABLE[:rows]
    parts = [sf.count(table, angle=70, shard=(k, shares), **options) for k in range(shares)]
    assert sum(part.pairs for part in parts) == rows * (rows - 1) // 2
    assert sf.merge(parts) == sf.count(table, angle=70)


def test_shards_without_pairs_are_written(tmp_path):
    files = [tmp_path / f"{k}.ckpt" for k in range(4)]
    parts = [
        sf.coherence(TABLE[:60], shard=(k, 4), checkpoint=file) for k, file in enumerate(files)
    ]
    assert [part.passes[0].pairs for part in parts] == [1770, 0, 0, 0]
    assert sf.merge(files) == sf.coherence(TABLE[:60])


def test_shards_are_about_equally_large():
    parts = [sf.coherence(TABLE, shard=(k, 5), memory="2MiB") for k in range(5)]
    sizes = [part.pairs for part in parts]
    assert max(sizes) < 1.5 * min(sizes)
    assert "coherence" in repr(parts[0])


def test_a_part_has_an_answer_of_its_own():
    part = sf.count(TABLE, angle=[0, 90], shard=(1, 3))
    assert part.result()[1] == part.pairs
    nothing = sf.coherence(TABLE[:2], shard=(0, 2))
    assert nothing.pairs == 0


def refusal(call, *arguments, **options):
    with pytest.raises((TypeError, ValueError)) as raised:
        call(*arguments, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_parts_that_do_not_fit_are_refused(tmp_path):
    parts = [sf.coherence(TABLE, shard=(k, 3)) for k in range(3)]
    assert "parts: must make up all" in refusal(sf.merge, parts[:2])
    assert "parts: must make up all" in refusal(sf.merge, parts[1:])
    assert "parts: must not overlap" in refusal(sf.merge, [*parts, parts[1]])
    assert "parts: must be at least one" in refusal(sf.merge, [])
    assert "parts: must be parts or paths" in refusal(sf.merge, [1.0])
    others = {
        "same vectors": sf.coherence(TABLE + 1, shard=(2, 3)),
        "shape (3999, 24)": sf.coherence(TABLE[1:], shard=(2, 3)),
        "signed=True": sf.coherence(TABLE, signed=True, shard=(2, 3)),
        "same function": sf.mean_cosine(TABLE, shard=(2, 3)),
        "memory=2097152": sf.coherence(TABLE, shard=(2, 3), memory="2MiB"),
    }
    for words, other in others.items():
        message = refusal(sf.merge, [*parts[:2], other])
        assert message.startswith("parts[2]: must be of the same")
        assert words in message
    with pytest.raises(OSError, match=r"^parts: must be a file"):
        sf.merge([tmp_path / "none"])


@pytest.mark.parametrize("shard", [(3, 3), (-1, 3), (0, 0), (0.0, 1), [0, 1], "0/1", (1,), 3])
def test_bad_shards_are_refused(shard):
    assert refusal(sf.coherence, TABLE, shard=shard).startswith("shard: must be")


@pytest.mark.parametrize("name", ["quantile", "frame_potential", "estimate", "basis_alignment"])
def test_what_has_no_shards(name):
    arguments = {"quantile": (TABLE, 0.5)}.get(name, (TABLE,))
    assert refusal(getattr(sf, name), *arguments, shard=(0, 2)).startswith("shard: must be left")


def test_sums_that_need_no_pair_loop_have_no_shards():
    message = refusal(sf.mean_cosine, TABLE, signed=True, shard=(0, 2))
    assert message.startswith("shard: must be left out of what needs no pair loop")


# Stopped runs


def test_stopped_runs_say_what_they_know():
    with pytest.raises(sf.Interrupted, match=r"stopped after \d+ of 7998000 pairs") as stopped:
        sf.count(HOLED, angle=[70, 90], zero="skip", progress=stop_after(3), memory="2MiB")
    part = stopped.value.part
    assert 0 < part.pairs < part.total
    some, done = part.result()
    assert 0 < some < done < part.pairs
    assert "part: must come from" in refusal(part.save, "nowhere")


def test_the_mean_so_far_is_about_the_pairs_so_far():
    ones = np.ones((4000, 24))
    with pytest.raises(sf.Interrupted) as stopped:
        sf.mean_cosine(ones, progress=stop_after(2), memory="2MiB")
    assert stopped.value.part.result() == pytest.approx(1.0)


def test_a_description_of_some_pairs():
    """Pairs are those that were looked at; what comes from squares is of all."""
    with pytest.raises(sf.Interrupted) as stopped:
        sf.describe(TABLE, progress=stop_after(3), memory="2MiB")
    part = stopped.value.part
    found, whole = part.result(), sf.describe(TABLE, memory="2MiB")
    assert found.pairs == part.pairs == found.histogram.sum() < whole.pairs
    assert found.coherence <= whole.coherence
    assert found.rms_cosine == whole.rms_cosine
    nothing = sf.describe(TABLE[:60], shard=(1, 2))
    assert nothing.pairs == 0
    assert refusal(nothing.result).startswith("part: must be about one pair at least")


def test_squares_of_a_description_are_kept(tmp_path, monkeypatch):
    """Resumed and merged it does not go over the vectors for them again."""
    parts = [sf.describe(TABLE, shard=(k, 2), checkpoint=tmp_path / f"{k}") for k in range(2)]
    expected = sf.describe(TABLE)

    def refuse(problem):
        raise AssertionError

    monkeypatch.setattr(overview, "mean_square_cosine", refuse)
    assert sf.merge(parts[::-1]) == sf.merge([tmp_path / "0", tmp_path / "1"]) == expected
    sf.describe(TABLE, shard=(1, 2), checkpoint=tmp_path / "1")


def test_no_answer_before_the_last_pass():
    with pytest.raises(sf.Interrupted) as stopped:
        sf.quantile(TABLE, 0.5, progress=stop_after(2))
    assert "part: must be of a function" in refusal(stopped.value.part.result)


def test_sums_stop_too():
    with pytest.raises(sf.Interrupted):
        sf.interference(TABLE, progress=stop_after(2), memory="1MiB")


def test_only_false_stops():
    expected = sf.coherence(TABLE)
    assert sf.coherence(TABLE, progress=lambda done, total: None) == expected
    assert sf.coherence(TABLE, progress=lambda done, total: 0) == expected


@pytest.mark.parametrize("name", sf.__all__)
def test_examples(name):
    public = inspect.unwrap(getattr(sf, name))
    if not callable(public):
        return
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for example in finder.find(public, name, globs={}):
        assert runner.run(example).failed == 0


@pytest.mark.parametrize("memory", [2_048_000, "8MiB", None])
def test_how_rows_lie_does_not_matter(memory, tmp_path):
    """Equal numbers make up one question, whatever type and order they lie in."""
    rows = gaussian(2000, 64).astype(np.float16)
    np.save(tmp_path / "rows.npy", rows)
    wide = rows.astype(np.float32)
    kinds = [rows, wide, np.asfortranarray(wide), tmp_path / "rows.npy", wide[::-1][::-1]]
    how = {"memory": memory, "threads": 2}
    parts = [sf.mean_cosine(rows, shard=(n, len(kinds)), **how) for n, rows in enumerate(kinds)]
    assert sf.merge(parts) == sf.mean_cosine(wide, **how)
    assert [sf.mean_cosine(rows, **how) for rows in kinds] == [sf.merge(parts)] * len(kinds)
