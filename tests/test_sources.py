"""Files: what is opened is what was written, and no bytes lead to anything but one line."""

import io
import json
import sys

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from superpos_fast.sources import LISTED_AT_MOST, SAFETENSORS_TYPES, open_table

MATRIX = np.arange(1, 13).reshape(4, 3)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def one_line(error):
    text = str(error.value)
    assert text == text.strip()
    assert text.isprintable()
    return text


def safetensors_bytes(header, data=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(header).to_bytes(8, "little") + header + data


def described(dtype="F32", shape=(2, 3), offsets=(0, 24)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f2", ">f4", "f8", "i1", "u4", "i8"])
def test_npy_is_mapped(tmp_path, dtype, order):
    path = tmp_path / "a.NPY"
    with path.open("wb") as stream:
        np.save(stream, np.asarray(MATRIX, dtype, order=order))
    array = open_table(str(path))
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, MATRIX)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, W=MATRIX.astype(np.float32), bias=np.ones(3))
    for tensor in (None, "W"):
        np.testing.assert_array_equal(open_table(path, tensor), MATRIX)
    save(path, W=MATRIX, V=np.ones((2, 2)), bias=np.ones(3))
    np.testing.assert_array_equal(open_table(path, "V"), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"'W' \(4, 3\) int64, 'V' \(2, 2\) float64") as error:
        open_table(path)
    assert "bias" not in one_line(error)


@pytest.mark.parametrize("dtype", [BFLOAT16, "f2", "f4", "f8", "i1", "i4", "i8", "u2", "u8"])
def test_safetensors_is_mapped(tmp_path, dtype):
    path = tmp_path / "a.safetensors"
    written = {"b": np.ones(5, np.float32), "W": MATRIX.astype(dtype)}
    safetensors.numpy.save_file(written, path, metadata={"model": "none"})
    for tensor in (None, "W"):
        array = open_table(path, tensor)
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
        assert array.dtype == dtype
        np.testing.assert_array_equal(array.astype(float), MATRIX)


def test_every_safetensors_type_has_the_size_in_its_name():
    for code, dtype in SAFETENSORS_TYPES.items():
        assert code.endswith(str(8 * np.dtype(dtype).itemsize))


def test_safetensors_data_may_lie_at_any_byte(tmp_path):
    path = tmp_path / "a.safetensors"
    for padding in range(4):
        header = json.dumps({"W": described()}).encode() + b" " * padding
        values = np.arange(6, dtype="<f4").reshape(2, 3)
        path.write_bytes(safetensors_bytes(header, values.tobytes()))
        np.testing.assert_array_equal(open_table(path), values)


def test_several_tensors_are_listed(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file({"W": MATRIX, "V": MATRIX.astype("f2"), "b": np.ones(3)}, path)
    for tensor in (None, "U", "b"):
        with pytest.raises(ValueError, match="^tensor: must name one of the 2-d") as error:
            open_table(path, tensor)
        text = one_line(error)
        assert "'W' (4, 3) I64" in text
        assert "'V' (4, 3) F16" in text
        assert f"got {tensor!r}" in text
        assert "'b' (3,)" not in text
    many = {f"layer.{k}": np.ones((2, 2)) for k in range(LISTED_AT_MOST + 5)}
    safetensors.numpy.save_file(many, path)
    with pytest.raises(ValueError, match=", 5 more$"):
        open_table(path)


def test_no_matrix(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"must hold a 2-d array, got .* \(3,\) float64"):
        open_table(tmp_path / "a.npy")
    safetensors.numpy.save_file({}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="with none"):
        open_table(tmp_path / "a.safetensors")


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no '.*nothing\.npy'") as error:
        open_table(tmp_path / "nothing.npy")
    one_line(error)
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(ValueError, match="must be a regular file") as error:
        open_table(tmp_path / "folder.npy")
    one_line(error)
    for name in ("a.csv", "a", ".npy"):
        (tmp_path / name).touch()
        with pytest.raises(
            ValueError, match=r"must end in \.npy, \.npz, \.safetensors, got"
        ) as error:
            open_table(tmp_path / name)
        one_line(error)


def test_tensor_of_a_nameless_file(tmp_path):
    np.save(tmp_path / "a.npy", MATRIX)
    with pytest.raises(ValueError, match=r"tensor: must be left out for a \.npy file, got 'W'"):
        open_table(tmp_path / "a.npy", "W")


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def test_nothing_is_unpickled(tmp_path):
    evil = np.array([[Bomb(), Bomb()]], dtype=object)
    np.save(tmp_path / "a.npy", evil, allow_pickle=True)
    np.savez(tmp_path / "a.npz", W=evil)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match="(?i)object") as error:
            open_table(tmp_path / name)
        one_line(error)


def test_bfloat16_needs_ml_dtypes(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file({"W": MATRIX.astype(BFLOAT16)}, path)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match=r"pip install 'superpos_fast\[io\]'") as error:
        open_table(path)
    one_line(error)


HOSTILE_HEADERS = {
    "not JSON": b"{nonsense}",
    "not UTF-8": b'{"W\xff": 0}',
    "UTF-16": '{"W": 0}'.encode("utf-16"),
    "a list": [1, 2],
    "deep": b"[" * 100_000,
    "long number": b"[" + b"9" * 5000 + b"]",
    "no entry": {"W": 3},
    "no shape": {"W": {"dtype": "F32", "data_offsets": [0, 24]}},
    "wrong type": {"W": described(dtype=["F32"])},
    "unknown type": {"W": described(dtype="F8_E4M3\n\x1b[31m")},
    "wrong size": {"W": described(shape=(2, 4))},
    "overflowing size": {"W": described(shape=(2**62, 2**62))},
    "negative": {"W": described(shape=(-2, -3))},
    "fractional": {"W": described(shape=(2.0, 3.0))},
    "boolean": {"W": described(shape=(True, 6))},
    "empty and vast": {"W": described(shape=(0, 10**30), offsets=(0, 0))},
    "many dimensions": {"W": described(shape=(1,) * 1000)},
    "one offset": {"W": described(offsets=(0,))},
    "backwards": {"W": described(offsets=(24, 0))},
    "past the end": {"W": described(shape=(2, 30), offsets=(0, 240))},
    "far past the end": {"W": described(offsets=(10**30, 10**30 + 24))},
    "escapes in a name": {"W\n\x1b[2J": described(), "V": described()},
    "long name": {"W" * 10**6: described(), "V": described()},
}


@pytest.mark.parametrize("header", HOSTILE_HEADERS.values(), ids=HOSTILE_HEADERS.keys())
def test_hostile_safetensors_header(tmp_path, header):
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors_bytes(header, bytes(24)))
    with pytest.raises(ValueError, match="must") as error:
        open_table(path)
    assert len(one_line(error)) < 1000


@pytest.mark.parametrize("length", [0, 1, 24, 25, 2**31, 2**63, 2**64 - 1])
def test_hostile_safetensors_header_length(tmp_path, length):
    path = tmp_path / "a.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}" + bytes(22))
    with pytest.raises(ValueError, match="must be a readable") as error:
        open_table(path)
    one_line(error)


def written(name):
    """The bytes of a sound file."""
    stream = io.BytesIO()
    if name == "a.npy":
        np.save(stream, MATRIX)
    elif name == "a.npz":
        np.savez_compressed(stream, W=MATRIX)
    else:
        stream.write(safetensors.numpy.save({"W": MATRIX}))
    return stream.getvalue()


SOUND = {name: written(name) for name in ("a.npy", "a.npz", "a.safetensors")}


def opens_or_explains(path, content):
    path.write_bytes(content)
    try:
        array = open_table(path)
    except ValueError as error:
        explanation = str(error)
    else:
        assert array.ndim == 2
        explanation = ""
    assert explanation.isprintable()


@pytest.mark.parametrize("name", SOUND)
def test_every_truncation(tmp_path, name):
    for length in range(len(SOUND[name])):
        (tmp_path / name).write_bytes(SOUND[name][:length])
        with pytest.raises(ValueError, match="must") as error:
            open_table(tmp_path / name)
        one_line(error)


@pytest.mark.filterwarnings("ignore")  # numpy and zipfile warn of some damage before they raise
@pytest.mark.parametrize("name", SOUND)
@given(data=st.data())
def test_damaged_bytes(tmp_path_factory, name, data):
    content = bytearray(SOUND[name])
    places = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, min_size=1, max_size=8)):
        content[place] = value
    opens_or_explains(tmp_path_factory.getbasetemp() / name, content)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SOUND)
@given(content=st.binary(max_size=400))
def test_random_bytes(tmp_path_factory, name, content):
    path = tmp_path_factory.getbasetemp() / name
    opens_or_explains(path, content)
    opens_or_explains(path, SOUND[name][:8] + content)


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
trees = st.recursive(values, lambda t: st.lists(t) | st.dictionaries(st.text(), t), max_leaves=8)
small = st.integers(-1, 40)
entries = trees | st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*SAFETENSORS_TYPES, "BOOL", "F8_E5M2", ""]) | trees,
        "shape": st.lists(small, max_size=3) | trees,
        "data_offsets": st.lists(small, min_size=2, max_size=2) | trees,
    }
)


@given(header=trees | st.dictionaries(st.text(max_size=3), entries, max_size=3))
def test_random_safetensors_header(tmp_path_factory, header):
    path = tmp_path_factory.getbasetemp() / "b.safetensors"
    opens_or_explains(path, safetensors_bytes(header, bytes(40)))
