"""Tables of vectors as users have them: every element type, layout and degree of degeneracy.

A table is a size, a family of values and a seed, so that big ones are cheap to draw and small ones
easy to read. `tiny_tables` draws every number by itself.
"""

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

FLOATS = [np.dtype(t) for t in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)]
INTEGERS = [np.dtype(t) for t in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")]
ELEMENT_TYPES = [*FLOATS, *INTEGERS, np.dtype(bool)]
LARGEST_INTEGER = 2**53


# Values, as float64: (rows, depth) -> array


def gaussian(rng, shape):
    return rng.standard_normal(shape)


def ternary(rng, shape):
    """Small integers: ties everywhere."""
    return rng.integers(-1, 2, shape).astype(float)


def sparse(rng, shape):
    """One to three entries a row: most pairs exactly orthogonal."""
    values = np.zeros(shape)
    for _ in range(rng.integers(1, 4)):
        values[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] = rng.choice([-1, 1, 2])
    return values


def repeated(rng, shape):
    """A few rows, each many times, some negated, some doubled."""
    few = rng.standard_normal((1 + shape[0] // 4, shape[1]))
    return rng.choice([-2, -1, 1, 2], (shape[0], 1)) * few[rng.integers(0, len(few), shape[0])]


def clustered(rng, shape):
    """All rows one row, but for a relative 1e-9 or so."""
    return rng.standard_normal(shape[1]) * (1 + 1e-9 * rng.standard_normal(shape))


def neighbouring(rng, shape):
    """All rows one row, but for a float32 ulp here and there."""
    row = rng.standard_normal(shape[1]).astype(np.float32)
    return np.where(rng.random(shape) < 0.1, np.nextafter(row, np.float32(9)), row).astype(float)


def tall(rng, shape):
    """Rows of very different norms."""
    return np.ldexp(rng.standard_normal(shape), rng.integers(-490, 490, (shape[0], 1)))


def tiny_and_huge(rng, shape):
    """Entries of very different sizes in each row."""
    return np.ldexp(rng.standard_normal(shape), rng.integers(-1060, 1020, shape))


FAMILIES = [gaussian, ternary, sparse, repeated, clustered, neighbouring, tall, tiny_and_huge]


def in_type(values, dtype, span):
    """Values brought into a type's range: floats are clipped, integers scaled to the span."""
    if dtype.kind == "b":
        return values > 0
    if dtype in FLOATS:
        limit = float(ml_dtypes.finfo(dtype).max)
        return np.clip(values, -limit, limit).astype(dtype)
    unit = values / max(np.abs(values).max(), np.finfo(float).tiny)
    unit = np.abs(unit) if dtype.kind == "u" else unit
    return np.rint(unit * min(span, np.iinfo(dtype).max, LARGEST_INTEGER)).astype(dtype)


def without_zero_rows(table, rng):
    empty = np.flatnonzero(~(table != 0).any(axis=1))
    table[empty, rng.integers(0, table.shape[1], len(empty))] = 1
    return table


# Layouts: the same numbers, elsewhere in memory


def fortran(table):
    return np.asfortranarray(table)


def upside_down(table):
    return np.ascontiguousarray(table[::-1])[::-1]


def mirrored(table):
    return np.ascontiguousarray(table[:, ::-1])[:, ::-1]


def sliced(table):
    rows, depth = table.shape
    host = np.ones((2 * rows + 1, 3 * depth + 2), dtype=table.dtype)
    host[1::2, 2::3] = table
    return host[1::2, 2::3]


def unaligned(table):
    host = np.empty(table.nbytes + 1, dtype=np.uint8)
    host[1:] = np.frombuffer(table.tobytes(), dtype=np.uint8)
    return host[1:].view(table.dtype).reshape(table.shape)


def byte_swapped(table):
    if table.dtype.kind == "V":
        return table
    return table.astype(table.dtype.newbyteorder())


def read_only(table):
    table = table.copy()
    table.flags.writeable = False
    return table


LAYOUTS = [
    np.ascontiguousarray,
    fortran,
    upside_down,
    mirrored,
    sliced,
    unaligned,
    byte_swapped,
    read_only,
]


# Strategies


@st.composite
def tables(draw, rows=None, depth=None, element_types=ELEMENT_TYPES, families=FAMILIES):
    shape = (
        draw(st.integers(2, 300) if rows is None else rows),
        draw(st.integers(1, 200) if depth is None else depth),
    )
    family = draw(st.sampled_from(families))
    dtype = draw(st.sampled_from(element_types))
    span = draw(st.sampled_from([1, 3, 100, LARGEST_INTEGER]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    table = without_zero_rows(in_type(family(rng, shape), dtype, span), rng)
    return draw(st.sampled_from(LAYOUTS))(table)


@st.composite
def two_tables(draw):
    """Two tables of one depth, whatever else they differ in."""
    depth = st.just(draw(st.integers(1, 200)))
    return draw(tables(rows=st.integers(1, 300), depth=depth)), draw(
        tables(rows=st.integers(1, 300), depth=depth)
    )


def tiny_tables(dtype=np.float64, **limits):
    """Up to 6 x 10 numbers, each one drawn from the whole range of the type."""
    numbers = npst.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False, **limits)
    shapes = st.tuples(st.integers(2, 6), st.integers(1, 10))
    return npst.arrays(dtype, shapes, elements=numbers)


def executions():
    """Execution keywords; `memory` is where to lie between the smallest cap (0) and 1 GiB (1)."""
    return st.fixed_dictionaries(
        {},
        optional={
            "threads": st.sampled_from([1, 2, 3, 8]),
            "memory": st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0]),
        },
    )


# What most tests of the family draw or share

FEW = {"rows": st.integers(2, 90), "depth": st.integers(1, 70)}
TIES = {"families": [ternary, sparse]}
TABLE = np.random.default_rng(0).standard_normal((40, 6))
seeds = st.integers(0, 999)
