"""The deciding arithmetic on a device: the bits of `superpos_fast.kernels.reference`."""

import numpy as np
import pytest

import fake_cupy as cp
from launches import on_device, sides, type_number
from superpos_fast.kernels import reference
from superpos_fast.kernels.cuda import formats

# A row of zeros has no direction: 0 / 0.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")


def listed(module, tables, rows, columns, *, found=None, first=(0, 0), blocks=2):
    """Cosines of listed pairs; NaN is what was not written."""
    (left, left_at), (right, right_at) = zip(tables, first, strict=True)
    arguments = {}
    for name, table in (("left", left), ("right", right)):
        _, exponents, squares = sides([table])[0]
        arguments[name] = cp.ndarray(table)
        arguments[f"{name}_type"] = type_number(table)
        arguments[f"{name}_stride"] = table.strides[0] // table.itemsize
        arguments[f"{name}_exponents"] = cp.asarray(exponents)
        arguments[f"{name}_squares"] = cp.asarray(squares)
    out = cp.full(len(rows), 7.0)
    count = len(rows) if found is None else found
    module.launch(
        "cosines_listed", (blocks,), **arguments, depth=left.shape[1],
        rows=cp.asarray(np.int32(rows) - left_at), columns=cp.asarray(np.int32(columns) - right_at),
        first_row=left_at, first_column=right_at,
        found=cp.asarray(np.array([count], np.uint32)), room=len(rows), out=out,
    )  # fmt: skip
    return out.get()


def same_bits(got, expected):
    nothing = np.isnan(expected)
    assert np.array_equal(np.isnan(got), nothing)
    assert np.array_equal(got[~nothing].view(np.int64), expected[~nothing].view(np.int64))


def hard_rows(count, depth, seed):
    """Nearly equal rows, equal ones, opposite ones, one of zeros, and orthogonal ones."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, depth))
    rows[1] = rows[0]
    rows[2] = -rows[0]
    rows[3] = 0.0
    rows[4] = rows[0] * (1 + 1e-9 * rng.standard_normal(depth))
    rows[5, ::2], rows[6, 1::2] = 0.0, 0.0
    rows[7] *= 1e200
    rows[8] *= 1e-200
    return rows


@pytest.mark.parametrize("depth", [1, 2, 7, 8, 9, 63, 770])
def test_listed_pairs(module, depth):
    rng = np.random.default_rng(depth)
    left, right = hard_rows(12, depth, 1), hard_rows(15, depth, 1)
    rows, columns = (part.ravel() for part in np.mgrid[:12, :15])
    got = listed(module, (left, right), rows, columns)
    (x, *one), (y, *two) = sides((left, right))
    same_bits(got, reference.listed_cosines((x, *one), rows, (y, *two), columns))
    order = rng.permutation(len(rows))[:41]
    got = listed(module, (left, right), rows[order], columns[order], first=(-3, 5), blocks=1)
    same_bits(got, reference.listed_cosines((x, *one), rows[order], (y, *two), columns[order]))


@pytest.mark.parametrize(
    "types", [("float32", "float32"), ("float16", "float32"), ("int8", "float64"), ("u2", "u2")]
)
def test_listed_pairs_of_other_types(module, types):
    rng = np.random.default_rng(3)
    tables = [(50 * rng.standard_normal((9, 30))).astype(kind)[::2, 3:] for kind in types]
    rows, columns = (part.ravel() for part in np.mgrid[:5, :5])
    got = listed(module, tables, rows, columns)
    one, two = sides(tables)
    same_bits(got, reference.listed_cosines(one, rows, two, columns))


def test_no_more_pairs_than_there_are(module):
    tables = [np.eye(4), np.eye(4)]
    rows = np.arange(4)
    assert listed(module, tables, rows, rows, found=2).tolist() == [1.0, 1.0, 7.0, 7.0]
    assert listed(module, tables, rows, rows, found=9).tolist() == [1.0] * 4
    assert listed(module, tables, rows, rows, found=0).tolist() == [7.0] * 4


@pytest.mark.parametrize(
    ("rows", "columns", "depth", "shift"),
    [
        (12, 15, 1, formats.ACROSS), (16, 32, 8, formats.ACROSS), (20, 70, 31, formats.ACROSS),
        (17, 33, 129, 0), (40, 40, 64, 0), (33, 50, 40, -20), (50, 33, 40, 20), (13, 9, 16, -40),
    ],
)  # fmt: skip
def test_tiles(module, rows, columns, depth, shift):
    left, right = hard_rows(rows, depth, 2), hard_rows(columns, depth, 2)
    (x, e, q), (y, f, r) = sides((left, right))
    wide = -(-depth // 8) * 8

    def padded(table, exponents):
        scaled = np.zeros((len(table), wide))
        scaled[:, :depth] = reference.scale(table, exponents)
        return scaled

    one, two = padded(x, e), padded(y, f)
    out = cp.full((rows, columns + 3), 7.0)
    left, right, squares, others = on_device(one, two, q, r)
    grid = -(-columns // 32), -(-rows // 16)
    module.launch(
        "cosines_tile", grid, left=left, right=right, rows=rows, columns=columns, depth=wide,
        left_squares=squares, right_squares=others, shift=shift, out=out, out_stride=columns + 3,
    )  # fmt: skip
    across = None if shift == formats.ACROSS else shift
    expected = reference.piece_cosines(
        None, reference.PieceSide(one, q), reference.PieceSide(two, r), across
    )
    same_bits(out.get()[:, :columns], expected)
    assert (out.get()[:, columns:] == 7.0).all()
