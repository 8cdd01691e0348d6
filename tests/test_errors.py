"""Bad input is refused in one line that names the argument, the requirement and what came."""

import ml_dtypes
import numpy as np
import pytest

from helpers import Exporter, smallest_memory
from strategies import TABLE
from superpos_fast import Coherence, coherence, frame_potential, histogram, mean_cosine

EITHER = (TypeError, ValueError)


def complaint(about, kind, *words, vectors=TABLE, **arguments):
    """What `coherence` says; `words` are what came, as the message has to show it."""
    with pytest.raises(kind) as raised:
        coherence(vectors, **arguments)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(about), message
    assert " must " in message, message
    assert "got " in message, message
    for word in words:
        assert word in message.split("got ")[1], message
    return message


def in_either_place(bad, kind, *words, fits=TABLE):
    """The same complaint, be it about the one table or the other."""
    complaint("vectors", kind, *words, vectors=bad)
    complaint("vectors", kind, *words, vectors=bad, other=fits)
    complaint("other", kind, *words, vectors=fits, other=bad)


# Shapes


@pytest.mark.parametrize("shape", [(), (6,), (2, 3, 6), (0,)])
def test_not_two_dimensional(shape):
    in_either_place(np.ones(shape), ValueError, str(shape))


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows(rows):
    complaint("vectors", ValueError, str(rows), vectors=TABLE[:rows])


def test_no_rows_on_one_side():
    complaint("other", ValueError, "0", other=TABLE[:0])
    complaint("vectors", ValueError, "0", vectors=TABLE[:0], other=TABLE)
    assert coherence(TABLE[:1], TABLE[1:2]) < 1


def test_no_columns():
    complaint("vectors", ValueError, "0", vectors=np.ones((5, 0)))
    complaint("vectors", ValueError, "0", vectors=np.ones((5, 0)), other=np.ones((5, 0)))


def test_depths_differ():
    message = complaint("other", ValueError, "5", other=TABLE[:, :5])
    assert "6" in message


def test_ragged():
    for bad in ([[1, 2], [3]], [[1, 2], 3]):
        with pytest.raises(EITHER) as raised:
            coherence(bad)
        assert str(raised.value).startswith("vectors")
        assert "\n" not in str(raised.value)


# Numbers


FAR = 5000
THREADS = [None, 1, 3]


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("row", [0, 7, FAR, FAR + 1999])
@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_not_finite(bad, row, dtype, threads):
    table = np.ones((FAR + 2000, 3), dtype=dtype)
    table[row:, 1] = float(bad)
    for zero in ("raise", "skip"):
        options = {"threads": threads, "zero": zero}
        complaint("vectors", ValueError, f"row {row}", bad, vectors=table, **options)
        complaint("other", ValueError, f"row {row}", bad, other=table[:, [0, 1] * 3], **options)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("row", [0, 7, FAR, FAR + 1999])
def test_zero_rows(row, threads):
    table = np.ones((FAR + 2000, 6), dtype=np.float32)
    table[row:] = -0.0
    table[row + 1 :: 2] = 0.0
    for bad in (table, table.astype(np.int8)):
        complaint("vectors", ValueError, f"row {row}", vectors=bad, threads=threads)
        complaint("other", ValueError, f"row {row}", other=bad, threads=threads)


def test_the_vectors_are_complained_about_before_the_other():
    bad = TABLE.copy()
    bad[3, 3] = np.nan
    complaint("vectors", ValueError, "row 3", vectors=bad, other=bad)


def test_subnormal_rows_are_not_zero():
    for dtype in (np.float16, np.float32, np.float64):
        tiny = np.finfo(dtype).smallest_subnormal * np.ones((2, 2), dtype=dtype)
        assert coherence(tiny) == 1.0


def test_bfloat16_not_finite():
    bad = TABLE.astype(ml_dtypes.bfloat16)
    bad[9, 2] = np.nan
    in_either_place(bad, ValueError, "row 9", "nan")


# Zero rows left out


def test_indices_are_kept():
    table = np.zeros((50, 3))
    table[[11, 30, 49]] = [[1, 0, 0], [0, 1, 0], [0, 2, 1]]
    found = coherence(table, zero="skip", return_pair=True)
    assert found == Coherence(2 / np.sqrt(5), 30, 49)
    found = coherence(table, table[::-1], zero="skip", return_pair=True)
    assert (found.i, found.j) == (11, 38)


def test_too_few_rows_are_left():
    table = np.zeros((50, 6))
    complaint("vectors", ValueError, "0", vectors=table, zero="skip")
    complaint("vectors", ValueError, "0", vectors=table, other=TABLE, zero="skip")
    complaint("other", ValueError, "0", other=table, zero="skip")
    table[20] = 1
    complaint("vectors", ValueError, "1", vectors=table, zero="skip")
    assert coherence(table, TABLE, zero="skip", return_pair=True).i == 20
    assert coherence(TABLE, table, zero="skip", return_pair=True).j == 20


# Kinds of input


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (TABLE.astype(complex), "complex128"),
        (TABLE.astype(np.complex64), "complex64"),
        (TABLE.astype(object), "object"),
        (TABLE.astype(str), "<U"),
        (TABLE.astype("S8"), "S8"),
        (TABLE.astype("M8[s]"), "datetime64"),
        (TABLE.astype("m8[s]"), "timedelta64"),
        (TABLE.astype([("x", float)]), "x"),
        ([["1", "2"], ["3", "4"]], "<U"),
        ([[None, 1.0], [2.0, 3.0]], "object"),
        (None, ""),
        ({"a": 1}, ""),
        (object(), ""),
    ],
    ids=lambda case: case if isinstance(case, str) else type(case).__name__,
)
def test_refused_kinds(bad, word):
    complaint("vectors", TypeError, word, vectors=bad)
    if bad is not None:
        complaint("other", TypeError, word, other=bad)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant == 52, reason="longdouble is float64 here")
def test_longdouble():
    in_either_place(TABLE.astype(np.longdouble), TypeError, np.dtype(np.longdouble).name)


@pytest.mark.parametrize(
    "worst",
    [
        np.int64(2**53 + 1),
        np.int64(-(2**53) - 1),
        np.int64(-(2**63)),
        np.uint64(2**53 + 1),
        np.uint64(2**64 - 1),
    ],
)
def test_integers_beyond_float64(worst):
    table = np.ones((FAR + 2, 6), dtype=worst.dtype)
    table[FAR, 4] = worst
    complaint("vectors", EITHER, str(worst), vectors=table)
    complaint("other", EITHER, str(worst), other=table)
    complaint("vectors", EITHER, vectors=[[2**70, 1], [1, 1]])


def test_masked_values():
    masked = np.ma.masked_array(TABLE, TABLE > 2.2)
    assert masked.mask.any()
    in_either_place(masked, EITHER, "mask")


def test_arrays_on_other_devices():
    cuda = Exporter(TABLE, device=(2, 0))
    in_either_place(cuda, EITHER)


# Options


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, 2.0, [2], float("nan")])
def test_threads(threads):
    complaint("threads", EITHER, repr(threads), threads=threads)


@pytest.mark.parametrize(
    "memory",
    [0, -1, True, "", "lots", "2 potatoes", "-1GiB", "nan GiB", "GiB", "1 2 MB", [2**30]],
)
def test_memory(memory):
    complaint("memory", EITHER, repr(memory), memory=memory)


@pytest.mark.parametrize("zero", ["drop", "", None, True, 0])
def test_zero(zero):
    complaint("zero", EITHER, repr(zero), zero=zero)


@pytest.mark.parametrize("backend", ["fast", "", "CPU", None, 1])
def test_backend(backend):
    complaint("backend", EITHER, repr(backend), backend=backend)


@pytest.mark.parametrize("came", [np.ones(3), np.ones((40, 40)), np.array(["raise", "skip"]), []])
def test_arrays_for_names(came):
    for name in ("zero", "screen", "backend"):
        complaint(name, EITHER, **{name: came})
    for function in (mean_cosine, frame_potential):
        with pytest.raises(EITHER, match=r"\Aprecision: must be .*, got [^\n]{1,80}\Z"):
            function(TABLE, precision=came)
    with pytest.raises(ValueError, match=r"\Aof: must be one of [^\n]*\Z"):
        histogram(TABLE, of=came)


def test_long_arguments_are_shown_in_part():
    message = complaint("threads", TypeError, "array", "...", threads=np.ones((40, 40)))
    assert len(message) < 150


def test_options_are_checked_before_the_work():
    complaint("threads", EITHER, vectors=TABLE.tolist(), threads=-1)
    for unknown in ("thread", "precision"):
        with pytest.raises(TypeError, match=unknown):
            coherence(TABLE, **{unknown: 1})
    with pytest.raises(TypeError):
        coherence(TABLE, TABLE, True)


def test_memory_that_is_accepted():
    expected = coherence(TABLE)
    for memory in ("2GiB", "300.5 MB", "256 MiB", "256mib", "100000000", 10**8, np.int64(10**8)):
        assert coherence(TABLE, memory=memory) == expected
    assert coherence(TABLE, threads=np.int64(2)) == expected


@pytest.mark.parametrize("shape", [(2, 1), (300, 20), (20, 3000), (5000, 8)])
@pytest.mark.parametrize("across", [False, True])
def test_smallest_memory(shape, across):
    """The stated figure is enough, and one byte less is refused with the same figure."""
    table = np.random.default_rng(0).standard_normal(shape)
    other = table[:2] if across else None
    least = smallest_memory(table, other)
    expected = coherence(table, other, return_pair=True)
    assert coherence(table, other, return_pair=True, memory=least) == expected
    message = complaint("memory", ValueError, vectors=table, other=other, memory=least - 1)
    assert f"at least {least} bytes" in message
    assert str(least - 1) in message.split("got ")[1]
    assert least < max(1 << 28, 64 * shape[0])
