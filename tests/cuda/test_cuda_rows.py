"""Survey, scale and unit rows: all element types, to the bit where they decide."""

import numpy as np
import pytest
from ml_dtypes import bfloat16

import fake_cupy as cp
from launches import rows_of, survey, unit_rows
from superpos_fast.kernels import reference
from superpos_fast.kernels.cuda import formats

TYPES = [bfloat16 if name == "bfloat16" else np.dtype(name) for name in formats.ELEMENT_TYPES]


def table(dtype, rows=37, depth=29, seed=0):
    """Rows of a type, with zeros, the type's extremes, and rows of very different size."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        array = rng.random((rows, depth)) < 0.3
    elif kind.kind in "iu":
        limits = np.iinfo(kind)
        high = min(limits.max, 2**53)
        array = rng.integers(max(limits.min, -high), high, (rows, depth), kind, endpoint=True)
        array[2] = [max(limits.min, -high)] + [0] * (depth - 1)
        array[4] //= max(1, high // 3)
    else:
        with np.errstate(over="ignore"):
            array = rng.standard_normal((rows, depth)).astype(kind)
            tiny = -24 if kind.itemsize == 2 else -149  # subnormal, in float32 too
            array[2] = np.ldexp(1.0, tiny)
            scales = 2.0 ** rng.integers(-10, 10, rows)
            array[5:] = (array[5:].astype(np.float64) * scales[5:, None]).astype(kind)
        if kind == np.float64:
            array[6:10] = np.ldexp(array[6:10], [[-1060], [-1000], [1015], [1020]])
            array[7, 3] = 1e300
            array[10] = np.ldexp(1.0, np.arange(depth) * 2090 // depth - 1070)
        elif kind == np.float32:
            array[6:8] = np.ldexp(array[6:8], [[-140], [120]])
    array[3] = 0
    return array


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_survey_and_scale(module, dtype):
    array = table(dtype)
    wide = array.astype(np.float64)
    exponents, squares, _ = reference.survey(wide)
    got = survey(module, array)
    assert np.array_equal(got[0], exponents)
    assert np.array_equal(got[1], squares)
    assert got[2].tolist() == [len(array)] * 2
    assert squares[3] == 0.0

    out = cp.full((40, 32), np.nan)
    module.launch(
        "scale", (2,), **rows_of(array), exponents=cp.asarray(exponents),
        out=out, out_rows=40, out_stride=32,
    )  # fmt: skip
    expected = np.zeros((40, 32))
    expected[:37, :29] = reference.scale(wide, exponents)
    assert np.array_equal(out.get(), expected)


@pytest.mark.parametrize("depth", [1, 7, 8, 9, 40])
def test_rows_that_lie_apart(module, depth):
    array = np.random.default_rng(depth).standard_normal((70, 50)).astype(np.float32)
    part = array[3:68:2, 5 : 5 + depth]
    exponents, squares, _ = reference.survey(part.astype(np.float64))
    got = survey(module, part, blocks=1)
    assert np.array_equal(got[0], exponents)
    assert np.array_equal(got[1], squares)


@pytest.mark.parametrize("dtype", [np.float16, bfloat16, np.float32, np.float64], ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_first_row_that_is_not_finite(module, dtype, value):
    array = table(dtype, rows=100, depth=11)
    array[[71, 33, 34, 99], [10, 0, 5, 2]] = value
    assert survey(module, array)[2].tolist() == [33, 100]


@pytest.mark.parametrize(
    ("dtype", "value"), [(np.int64, 2**53 + 1), (np.int64, -(2**53) - 1), (np.uint64, 2**53 + 1)]
)
def test_first_row_with_an_integer_that_float64_lacks(module, dtype, value):
    array = np.zeros((50, 9), dtype)
    array[:, 1] = 2**53
    array[[40, 17], [8, 3]] = value
    assert survey(module, array)[2].tolist() == [50, 17]


@pytest.mark.parametrize("dtype", [np.float16, bfloat16, np.float32, np.float64, np.int8], ids=str)
def test_unit_rows(module, dtype):
    array = table(dtype)
    wide = array.astype(np.float64)
    exponents, squares, _ = reference.survey(wide)
    with np.errstate(divide="ignore"):
        inverses = np.where(squares > 0, 1.0 / np.sqrt(squares), 0.0)
    units = reference.scale(wide, exponents) * inverses[:, None]

    packed, residuals = unit_rows(module, "f32", array)
    assert packed.shape == (40, 32)
    assert np.array_equal(packed[:37, :29], units.astype(np.float32))
    check_residuals(residuals, packed[:37, :29].astype(np.float64), units, squares)

    packed, residuals = unit_rows(module, "f16", array, scale=16.0, padding=32)
    assert packed.shape == (64, 32)
    assert np.array_equal(packed[:37, :29], (units * 16.0).astype(np.float16))
    assert not packed[37:].any()
    assert not packed[:, 29:].any()
    check_residuals(residuals, packed[:37, :29].astype(np.float64) / 16.0, units, squares)


def check_residuals(residuals, packed, units, squares):
    """Above the true distance, by little; NaN for what is no row."""
    kept = squares > 0
    assert np.isnan(residuals[:37][~kept]).all()
    assert np.isnan(residuals[37:]).all()
    true = np.linalg.norm(packed - units, axis=1)[kept]
    got = residuals[:37][kept].astype(np.float64)
    assert (got >= true).all()
    assert (got <= true * (1 + 2.0**-22) + 2.0**-44).all()
