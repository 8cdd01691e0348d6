"""Decoders of sparse autoencoders, as the field's libraries keep them in files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import shown
from .sources import Table, listing, open_chosen
from .vectors import as_array

__all__ = ["load"]

# What libraries call their files, in a folder that is theirs.
_FILES = ("sae_weights.safetensors", "sae.safetensors", "ae.pt", "params.npz")
_ENDINGS = (".safetensors", ".npz", ".pt")
# Where a configuration says how many features there are, and entries of each.
_CONFIGURATIONS = (
    ("cfg.json", (), ("d_sae", "d_in", "d_out")),
    ("config.json", ("trainer",), ("dict_size", "activation_dim")),
)
# The decoder's names: one vector a row; and the weight of a linear map, one vector a column.
_ROWS, _COLUMNS = "W_dec", "decoder.weight"


def load(path: str | os.PathLike[str], *, tensor: str | None = None) -> NDArray[Any]:
    """Return the decoder of a sparse autoencoder, one feature a row.

    Parameters
    ----------
    path : str or os.PathLike
        A file, ``.safetensors``, ``.npz`` or ``.pt``, or the folder that one of these libraries
        made: SAELens (``sae_weights.safetensors`` beside ``cfg.json``), dictionary_learning
        (``ae.pt``), sparsify (``sae.safetensors``), Gemma Scope (``params.npz``); or any folder
        that holds one such file alone.
    tensor : str, optional
        The decoder's name in the file.  Otherwise it is ``W_dec`` or ``decoder.weight``, perhaps
        behind a prefix and a dot, or else the only matrix.

    Returns
    -------
    ndarray, shape (features, d)
        Of the type that it has in the file.  ``decoder.weight`` is the weight of a linear map from
        features, d x features, and comes transposed; everything else comes as it is.  A view of the
        file where that is ``.safetensors``.

    Raises
    ------
    ValueError
        If the file is not what its name says, no matrix or several may be the decoder (the message
        names them and their shapes), or a configuration beside the file says another shape.
    OSError
        If it cannot be opened.
    ImportError
        For ``.pt`` without torch, and for bfloat16 without ml_dtypes.

    Notes
    -----
    A ``.pt`` file is read by ``torch.load(weights_only=True)``, which runs nothing that is in it.

    Examples
    --------
    >>> import pathlib, superpos_fast
    >>> folder = pathlib.Path(superpos_fast.data.__file__).parent
    >>> superpos_fast.sae.load(folder).shape
    (4096, 384)
    """
    for name, value, kinds in (("path", path, str | os.PathLike), ("tensor", tensor, str | None)):
        if not isinstance(value, kinds):
            wanted = "a path" if name == "path" else "a name"
            raise TypeError(f"{name}: must be {wanted}, got {type(value).__name__}")
    file = _file(Path(path))
    name, decoder = _opened(file, tensor)
    decoder = np.asarray(decoder.T if _is(name, _COLUMNS) else decoder)
    _check_configuration(file, name, decoder.shape)
    return decoder


def _file(path: Path) -> Path:
    """Return the file itself, or the one that is in a folder."""
    if not path.is_dir():
        if path.suffix.lower() not in _ENDINGS:
            known = ", ".join(_ENDINGS)
            raise ValueError(f"path: must end in {known} or be a folder, got {str(path)!r}")
        return path
    known_names = [path / name for name in _FILES if (path / name).is_file()]
    found = known_names or sorted(
        file for file in path.iterdir() if file.suffix.lower() in _ENDINGS
    )
    if len(found) != 1:
        there = ", ".join(file.name for file in found) or "none"
        raise ValueError(
            f"path: must be a folder with one file of weights ({', '.join(_ENDINGS)}), "
            f"got {str(path)!r} with {there}"
        )
    return found[0]


def _opened(file: Path, tensor: str | None) -> tuple[str, NDArray[Any]]:
    def choose(file: Path, tables: Mapping[str, Table]) -> str:
        return _decoder(file, tables, tensor)

    if file.suffix.lower() != ".pt":
        return open_chosen(file, None, choose)
    tensors = _torch_tensors(file)
    tables = {name: _table(found) for name, found in tensors.items()}
    name = choose(file, tables)
    return name, tables[name].load()


def _table(tensor: Any) -> Table:
    def load() -> NDArray[Any]:
        array: NDArray[Any] = as_array(tensor, "path")
        return array

    return Table(tuple(tensor.shape), str(tensor.dtype), load)


def _torch_tensors(file: Path) -> dict[str, Any]:
    """Return the tensors of a state dict."""
    if not file.exists():
        raise FileNotFoundError(f"path: must be a file, but there is no {str(file)!r}")
    try:
        import torch
    except ImportError:
        raise ImportError("reading .pt files needs torch: pip install torch") from None
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        # Not a list of types: the readers of zip files and pickles promise none.
        reason = shown(next(iter(str(error).splitlines()), type(error).__name__))
        raise ValueError(
            f"path: must be a file of tensors alone, got {str(file)!r}: {reason}"
        ) from None
    tensors = found.items() if isinstance(found, dict) else [("", found)]
    return {str(name): value for name, value in tensors if isinstance(value, torch.Tensor)}


def _is(name: str, known: str) -> bool:
    return name == known or name.endswith(f".{known}")


def _decoder(file: Path, tables: Mapping[str, Table], wanted: str | None) -> str:
    matrices = {name: table for name, table in tables.items() if len(table.shape) == 2}
    if wanted is not None:
        if wanted in matrices:
            return wanted
        raise ValueError(
            f"tensor: must name a matrix of {str(file)!r}, "
            f"got {wanted!r} where there are {listing(tables)}"
        )
    decoders = [name for name in matrices if _is(name, _ROWS) or _is(name, _COLUMNS)]
    found = decoders or list(matrices)
    if len(found) != 1:
        raise ValueError(
            f"tensor: must name the decoder among the matrices of {str(file)!r}, "
            f"got none where there are {listing(tables)}"
        )
    return found[0]


def _check_configuration(file: Path, name: str, shape: tuple[int, int]) -> None:
    """Refuse a decoder of another shape than the library's configuration beside it says."""
    for title, inside, keys in _CONFIGURATIONS:
        known = _numbers(file.with_name(title), inside, keys)
        features, widths = known.get(keys[0]), [known[key] for key in keys[1:] if key in known]
        if features not in (None, shape[0]) or (widths and shape[1] not in widths):
            said = ", ".join(f"{key}={value}" for key, value in known.items())
            raise ValueError(
                f"path: must hold a decoder as {title} says, {said}, got {name!r} of "
                f"{shape[0]} features with {shape[1]} entries"
            )


def _numbers(file: Path, inside: tuple[str, ...], keys: tuple[str, ...]) -> dict[str, int]:
    """Return some whole numbers of a JSON file; what is not there is not said."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"path: must have a readable {file.name} beside it: {error}") from None
    for name in inside:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return {}
    return {key: found[key] for key in keys if type(found.get(key)) is int}
