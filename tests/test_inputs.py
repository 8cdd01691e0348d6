"""Whatever NumPy or DLPack can show as a table of real numbers is read, and is left as it was."""

import ml_dtypes
import numpy as np
import pytest

from helpers import Exporter, check
from strategies import ELEMENT_TYPES, LAYOUTS, in_type
from superpos_fast import Coherence, coherence

TABLE = np.random.default_rng(0).integers(-9, 10, (30, 7)).astype(float)
TABLE[:, 0] = 11


class Arraylike:
    """An object that can be seen as an array and says nothing else about itself."""

    def __array__(self, dtype=None, copy=None):
        return TABLE if dtype is None else TABLE.astype(dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ELEMENT_TYPES, ids=str)
def test_types_and_layouts(dtype, layout):
    """The numbers count, not their type or place: each layout gives what the plain array gives."""
    plain = in_type(TABLE, dtype, 100)
    plain[~plain.any(axis=1), 0] = 1
    table = layout(plain)
    assert (table == plain).all()
    expected = check(plain)
    assert check(table) == expected
    assert coherence(plain.astype(float), return_pair=True) == expected
    assert check(table, plain[::-1], signed=True) == check(plain, table[::-1], signed=True)


def test_the_input_is_left_alone():
    for dtype in ELEMENT_TYPES:
        table = in_type(np.abs(TABLE), dtype, 100)
        before = table.tobytes()
        check(table, zero="skip")
        check(table, table[:9], zero="skip")
        assert table.tobytes() == before


@pytest.mark.parametrize(
    "wrapped",
    [
        TABLE.tolist(),
        tuple(map(tuple, TABLE.tolist())),
        list(TABLE),
        TABLE.astype(int).tolist(),
        np.ma.masked_array(TABLE),
        np.ma.masked_array(TABLE, np.zeros(TABLE.shape, bool)),
        TABLE.view(np.matrix),
        Arraylike(),
        memoryview(TABLE),
    ],
    ids=lambda wrapped: type(wrapped).__name__,
)
def test_containers(wrapped):
    expected = check(TABLE)
    assert coherence(wrapped, return_pair=True) == expected
    assert coherence(wrapped, TABLE, return_pair=True) == Coherence(1.0, 0, 0)
    assert coherence(TABLE, wrapped, return_pair=True) == Coherence(1.0, 0, 0)


def test_rows_that_share_their_memory():
    row = np.array([[3.0, 4.0]])
    assert check(np.broadcast_to(row, (5, 2))) == Coherence(1.0, 0, 1)
    assert check(np.lib.stride_tricks.sliding_window_view(np.arange(1.0, 40.0), 12)).value < 1


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u2", "i4", "i8"])
@pytest.mark.parametrize("turned", [False, True])
def test_dlpack(dtype, turned):
    table = TABLE.T if turned else TABLE
    table = (np.abs(table) if dtype[0] == "u" else table).astype(dtype, order="K")
    assert coherence(Exporter(table), return_pair=True) == check(table)
    assert coherence(table, Exporter(table[:3]), return_pair=True) == check(table, table[:3])


@pytest.mark.parametrize("extension", [".npy", ".raw"])
def test_memory_maps(tmp_path, extension):
    path = tmp_path / f"table{extension}"
    if extension == ".npy":
        np.save(path, TABLE)
        mapped = np.load(path, mmap_mode="r")
    else:
        TABLE.tofile(path)
        mapped = np.memmap(path, dtype=float, mode="r+", shape=TABLE.shape)
    assert isinstance(mapped, np.memmap)
    assert coherence(mapped, return_pair=True) == check(TABLE)
    assert coherence(mapped[::-2, 1:], return_pair=True) == check(TABLE[::-2, 1:])


def test_largest_integers():
    """2^53 is the last integer that float64 is sure to hold."""
    table = np.array([[2**53, 1], [-(2**53), 2], [3, 2**53 - 1]])
    check(table)
    check(np.abs(table).astype(np.uint64))


def test_types_may_differ_across():
    for dtype in ELEMENT_TYPES:
        check(in_type(np.abs(TABLE), dtype, 100), TABLE, zero="skip")
        check(TABLE, in_type(np.abs(TABLE), dtype, 100), zero="skip")


def test_bfloat16_is_not_float16():
    table = (TABLE * 1e30).astype(ml_dtypes.bfloat16)
    assert check(table).value == check(table.astype(np.float32)).value
