"""Chunked arrays of zarr: read chunk by chunk, with the answers of an array in memory."""

import pytest
import zarr

import superpos_fast as sf
from helpers import check, gaussian

TABLE = gaussian(1500, 24)
TABLE[700] = TABLE[3] * 2


class Counting(zarr.storage.LocalStore):
    """A folder of chunks that remembers which were read."""

    async def get(self, key, *args, **kwargs):
        self.reads = [*getattr(self, "reads", []), key]
        return await super().get(key, *args, **kwargs)


def stored(store, table, chunks):
    array = zarr.create_array(store, shape=table.shape, dtype=table.dtype, chunks=chunks)
    array[:] = table
    return array


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
@pytest.mark.parametrize("chunks", [(400, 7), (1, 24), (1500, 24)])
def test_answers(tmp_path, dtype, chunks):
    table = (TABLE * 100).astype(dtype)
    array = stored(tmp_path, table, chunks)
    expected = check(table)
    assert sf.coherence(array, return_pair=True) == expected
    assert sf.coherence(zarr.open_array(tmp_path, mode="r"), return_pair=True) == expected
    assert sf.nearest(array, table[:90], k=2) == sf.nearest(table, table[:90], k=2)
    assert sf.describe(array) == sf.describe(table)


def test_parts_of_arrays(tmp_path):
    array = stored(tmp_path, TABLE, (256, 24))
    parts = [sf.count(array, angle=60, shard=(k, 3)) for k in range(3)]
    assert sf.merge(parts) == sf.count(TABLE, angle=60)


def test_a_chunk_is_read_once_where_there_is_room(tmp_path):
    store = Counting(tmp_path)
    array = stored(store, TABLE, (256, 24))
    store.reads = []
    sf.coherence(array)
    chunks = [key for key in store.reads if "c/" in key]
    assert len(set(chunks)) == 6
    # To look at the rows, and to pack them: what was read is kept.
    assert len(chunks) <= 2 * 6


def test_an_array_of_three_axes_is_refused(tmp_path):
    array = zarr.create_array(tmp_path, shape=(4, 5, 6), dtype="float32")
    with pytest.raises(ValueError, match=r"^vectors: must be two-dim.*got shape \(4, 5, 6\)"):
        sf.coherence(array)


def test_a_damaged_chunk_is_no_answer(tmp_path):
    stored(tmp_path, TABLE, (256, 24))
    chunk = next(path for path in sorted(tmp_path.rglob("c/*/*")) if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:40])
    with pytest.raises(RuntimeError, match="error during blosc|Zstd"):
        sf.coherence(zarr.open_array(tmp_path, mode="r"))
