"""Launches as tests write them: arrays of the host in, arrays of the host out."""

import numpy as np

import fake_cupy as cp
from superpos_fast.kernels import reference
from superpos_fast.kernels.cuda import formats

BLOCKS = {"survey": 32, "scale": 8, "unit_rows_f32": 8, "unit_rows_f16": 8}
NEAREST = {"f32": np.float32, "f16": np.float16, "f64": np.float64}


def on_device(*arrays):
    return [cp.asarray(array) for array in arrays]


def type_number(array):
    return formats.ELEMENT_TYPES[array.dtype.name]


def rows_of(array):
    """Arguments that say which rows; their stride counted in elements."""
    return {
        "data": cp.ndarray(array),
        "type": type_number(array),
        "stride": array.strides[0] // array.itemsize,
        "rows": len(array),
        "depth": array.shape[1],
    }


def survey(module, array, blocks=2):
    """Exponents, squares and the two first rows."""
    exponents, squares = cp.full(len(array), 77, np.int32), cp.full(len(array), np.nan)
    first = cp.full(2, len(array), np.int32)
    module.launch(
        "survey", (blocks,), **rows_of(array), exponents=exponents, squares=squares, first=first
    )
    return exponents.get(), squares.get(), first.get()


def sides(tables):
    """What `reference` takes of tables: widened rows, exponents, squares."""
    wide = [np.asarray(table).astype(np.float64) for table in tables]
    return [(table, *reference.survey(table)[:2]) for table in wide]


def unit_rows(module, kind, array, scale=1.0, padding=8):
    """Packed rows, padded to a multiple of `padding` both ways, and residuals."""
    exponents, squares = reference.survey(array.astype(np.float64))[:2]
    rows, depth = (-(-size // padding) * padding for size in array.shape)
    out = cp.full((rows, depth), np.nan, NEAREST[kind])
    residuals = cp.full(rows, -1.0, np.float32)
    module.launch(
        f"unit_rows_{kind}", (3,), **rows_of(array),
        exponents=cp.asarray(exponents), squares=cp.asarray(squares), scale=scale,
        out=out, out_rows=rows, out_stride=depth, residuals=residuals,
    )  # fmt: skip
    return out.get(), residuals.get()


class Listing:
    """Room for listed pairs, and the arguments that name it."""

    def __init__(self, room, dtype):
        self.room = room
        self.found = cp.zeros(1, np.uint32)
        self.rows, self.columns = cp.full(room, -1, np.int32), cp.full(room, -1, np.int32)
        self.values = cp.full(room, np.nan, dtype)
        self.arguments = {
            "found": self.found, "room": room,
            "out_rows": self.rows, "out_columns": self.columns, "out_values": self.values,
        }  # fmt: skip

    def count(self):
        return int(self.found[0])

    def pairs(self):
        """{(row, column): value}; every place of the room that is to be filled is, and no other."""
        count = min(self.count(), self.room)
        rows, columns, values = (part.get() for part in (self.rows, self.columns, self.values))
        assert (rows[count:] == -1).all()
        assert (columns[count:] == -1).all()
        listed = zip(rows[:count].tolist(), columns[:count].tolist(), strict=True)
        pairs = dict(zip(listed, values[:count].tolist(), strict=True))
        assert len(pairs) == count, "a pair is listed twice"
        return pairs


def tile_grid(rows, columns, itemsize, deep=None):
    return -(-columns // (512 // itemsize)), deep or max(1, -(-rows // 256))
