"""Vectors as other libraries hold them: the numbers count, and results are NumPy's."""

import array_api_strict
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from helpers import check
from superpos_fast import coherence, match, nearest

TABLE = np.random.default_rng(0).integers(-9, 10, (30, 7)).astype(float)
TABLE[:, 0] = 11


def refusal(table):
    """What is said of a table that cannot be read, in one line."""
    with pytest.raises((TypeError, ValueError)) as raised:
        coherence(table)
    message = str(raised.value)
    assert message.startswith("vectors: ")
    assert " must " in message
    assert "got " in message
    assert "\n" not in message
    return message


def accepted(table, plain=TABLE):
    """Each way round, the answer is that of the plain table; what comes back is NumPy's."""
    expected = check(plain)
    assert coherence(table, return_pair=True) == expected
    assert coherence(table, plain[::2], return_pair=True) == check(plain, plain[::2])
    assert coherence(plain, table, return_pair=True) == check(plain, plain)
    found = nearest(table, k=2)
    assert type(found.cosines) is type(found.indices) is np.ndarray
    assert found == nearest(plain, k=2)
    assert match(table, table).indices.tolist() == match(plain, plain).indices.tolist()


# torch

TORCH_TYPES = [
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "int8",
    "uint8",
    "int16",
    "int32",
    "int64",
]


@pytest.mark.parametrize("dtype", TORCH_TYPES)
def test_torch(dtype):
    plain = np.abs(TABLE) if dtype == "uint8" else TABLE
    tensor = torch.tensor(plain).to(getattr(torch, dtype))
    accepted(tensor, plain)
    accepted(tensor[::3, 1:], plain[::3, 1:])
    accepted(tensor.T, plain.T)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_torch_with_a_gradient(dtype):
    tensor = torch.tensor(TABLE).to(getattr(torch, dtype))
    accepted(tensor.requires_grad_())
    accepted(torch.nn.Parameter(tensor.detach()))
    assert tensor.requires_grad
    accepted(tensor * 2, 2 * TABLE)


def test_torch_views():
    tensor = torch.tensor(TABLE)
    accepted(tensor.conj())
    accepted(torch.nn.functional.linear(tensor, torch.eye(7, dtype=torch.float64)))
    accepted(tensor[:1].expand(5, 7), np.repeat(TABLE[:1], 5, axis=0))
    accepted(torch.from_numpy(TABLE))


def test_torch_is_not_copied():
    """A change of the tensor is one of what is read: nothing stands between."""
    from superpos_fast.vectors import as_source

    for dtype in (torch.float32, torch.bfloat16):
        tensor = torch.tensor(TABLE).to(dtype)
        array = as_source(tensor, "vectors").array
        assert array.ctypes.data == tensor.data_ptr()


@pytest.mark.parametrize(
    "tensor",
    [
        torch.empty(4, 3, device="meta"),
        torch.tensor(TABLE).to_sparse(),
        torch.tensor(TABLE).to(torch.complex64),
        torch.tensor(TABLE)[0],
        torch.tensor([[1.0, float("nan")], [1.0, 1.0]]).bfloat16(),
    ],
    ids=["meta", "sparse", "complex", "one row", "nan"],
)
def test_torch_refused(tensor):
    refusal(tensor)


def test_torch_that_flushes_subnormal_numbers():
    """torch can have its thread, ours, flush them; rows of them are no zeros all the same."""
    tiny = torch.full((2, 3), 1e-310, dtype=torch.float64)
    assert torch.set_flush_denormal(True)
    try:
        assert coherence(tiny) == 1.0
    finally:
        torch.set_flush_denormal(False)


# JAX


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int8", "int32"])
def test_jax(dtype):
    array = jnp.asarray(TABLE, dtype=dtype)
    accepted(array)
    accepted(array.T, TABLE.T)
    accepted(array[::2], TABLE[::2])


def test_jax_refused():
    refusal(jnp.asarray(TABLE, dtype="complex64"))
    messages = []

    @jax.jit
    def traced(array):
        messages.append(refusal(array))
        return array

    traced(jnp.asarray(TABLE))
    assert messages


# Frames


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "Float64", "Float32", "Int64"])
def test_pandas(dtype):
    frame = pd.DataFrame(TABLE).astype(dtype)
    accepted(frame)
    accepted(frame.set_index(pd.Index(list("abcdefghijklmnopqrstuvwxyz1234"))))


def test_pandas_of_several_types():
    """As wide as the widest of its columns."""
    frame = pd.DataFrame(TABLE).astype({0: "float32", 1: "int8", 2: "float16"})
    frame.columns = ["dtype", "shape", "detach", "d", "e", "f", "g"]
    accepted(frame)


def test_pandas_refused():
    frame = pd.DataFrame(TABLE)
    refusal(frame.assign(name="x"))
    refusal(frame.mask(frame > 8))
    for dtype in ("Float64", "Int64"):
        refusal(frame.astype(dtype).mask(frame > 8))
    refusal(frame[0])


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64, pl.Int16])
def test_polars(dtype):
    frame = pl.DataFrame(TABLE).cast(dtype)
    accepted(frame)
    accepted(frame.slice(3, 20), TABLE[3:23])


def test_polars_refused():
    frame = pl.DataFrame(TABLE)
    refusal(frame.with_columns(name=pl.lit("x")))
    refusal(frame.with_columns(pl.when(pl.col("column_1") < 8).then(pl.col("column_1"))))
    refusal(frame["column_1"])
    refusal(frame.lazy())


# The array API


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint16"])
def test_array_api(dtype):
    plain = np.abs(TABLE) if dtype[0] == "u" else TABLE
    array = array_api_strict.asarray(plain, dtype=getattr(array_api_strict, dtype))
    accepted(array, plain)
    accepted(array.T, plain.T)
    accepted(array[::2, :], plain[::2])


def test_array_api_refused():
    refusal(array_api_strict.asarray(TABLE, dtype=array_api_strict.complex128))
    refusal(array_api_strict.asarray(TABLE[0]))


def test_bfloat16_is_the_same_everywhere():
    plain = (TABLE * 1e30).astype(ml_dtypes.bfloat16)
    tensor = torch.tensor(TABLE * 1e30).bfloat16()
    array = jnp.asarray(TABLE * 1e30, dtype="bfloat16")
    assert coherence(plain) == coherence(tensor) == coherence(array)
