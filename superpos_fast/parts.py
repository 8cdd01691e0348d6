"""Parts of an answer: what is known of some of the pairs, kept in files, joined, and finished.

A part holds what reductions know, how far they have come in the order of the plan's tiles, and the
key: what all that is about.  Parts of one key, whose stretches make up all pairs, are joined into
the answer, by the function that they come from and without the vectors.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import store
from .reductions import Reduction, State


@dataclass
class Pass:
    """One pass over the pairs.

    Attributes
    ----------
    asked : list of dict
        What each reduction was asked; arrays are named by their checksum.
    begin, done, end : int
        A stretch, and how far it is done, in pairs before a tile in the order of tiles.
    pairs : int
        Those done, but for pairs with rows that are left out.
    states : list of dict
        What each reduction knows; yet to be filled in while it is at work.
    """

    asked: list[dict[str, Any]]
    begin: int
    done: int
    end: int
    pairs: int = 0
    states: list[State] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether nothing of the stretch is left."""
        return self.done >= self.end


@dataclass(eq=False)
class Part:
    """What is known of some of the pairs: the result of a shard, or of a run that was stopped.

    Attributes
    ----------
    key : dict
        What it is about: version, function, parameters, vectors, plan.
    total : int
        Pairs in all.
    passes : list of Pass
        One by one.
    kept : list of ndarray
        Which vectors of each side are not left out.
    numbers : dict
        What is known of the vectors without a pass over the pairs, by name.
    """

    key: dict[str, Any]
    total: int
    passes: list[Pass] = field(default_factory=list, repr=False)
    kept: list[Any] = field(default_factory=list, repr=False)
    numbers: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def pairs(self) -> int:
        """How many pairs it is about."""
        return sum(one.done - one.begin for one in self.passes[-1:])

    def result(self) -> Any:
        """Return the answer about these pairs alone.

        Raises
        ------
        ValueError
            If it is a part of what takes more than one pass.
        """
        from .division import result

        return result(self)

    def __repr__(self) -> str:
        return f"Part({self.key['function']}, pairs={self.pairs} of {self.total})"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, which `merge` takes.

        Raises
        ------
        OSError
            If that cannot be done.
        ValueError
            If the run had neither `shard` nor `checkpoint`: then nobody has looked which vectors it
            is about.
        """
        if not all(side["content"] for side in self.key["sides"]):
            raise ValueError("part: must come from a run with shard or checkpoint, got neither")
        arrays = {f"kept {side}": np.packbits(kept) for side, kept in enumerate(self.kept)}
        for number, one in enumerate(self.passes):
            for place, state in enumerate(one.states):
                arrays |= {f"{number} {place} {name}": part for name, part in state.items()}
        passes = [
            {**asdict(replace(one, states=[])), "states": len(one.states)} for one in self.passes
        ]
        header = {
            "key": self.key,
            "total": self.total,
            "passes": passes,
            "numbers": self.numbers,
        }
        store.write(Path(path), header, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str], name: str = "path") -> Part:
        """Return what a file holds that was saved, or left as a checkpoint.

        Raises
        ------
        ValueError
            If the file is none of these, or damaged; the message begins with `name`.
        OSError
            If it cannot be opened.
        """
        header, arrays = store.read(Path(path), name)
        passes = []
        for number, one in enumerate(header["passes"]):
            states: list[State] = [{} for _ in range(one["states"])]
            for label, part in arrays.items():
                where, _, rest = label.partition(" ")
                if where == str(number):
                    place, _, entry = rest.partition(" ")
                    states[int(place)][entry] = part
            passes.append(Pass(**{**one, "states": states}))
        kept = [
            np.unpackbits(arrays[f"kept {side}"], count=about["shape"][0]).astype(bool)
            for side, about in enumerate(header["key"]["sides"])
        ]
        return cls(header["key"], header["total"], passes, kept, header.get("numbers", {}))


class Interrupted(RuntimeError):  # noqa: N818
    """A run was stopped, by a `progress` function that returned False.

    Attributes
    ----------
    part : Part
        What is known so far; ``part.result()`` is the answer about the pairs that were looked at.
    """

    def __init__(self, part: Part) -> None:
        super().__init__(f"stopped after {part.pairs} of {part.total} pairs")
        self.part = part


class Divided(Exception):  # noqa: N818
    """A shard is done: nothing went wrong, but there is no answer yet."""


def asked_of(reductions: Sequence[Reduction], precision: str) -> list[dict[str, Any]]:
    """Return what reductions are asked, as JSON has it."""
    return [
        {"kind": type(reduction).__name__, "precision": precision}
        | {name: _named(value) for name, value in reduction.parameters.items()}
        for reduction in reductions
    ]


def _named(value: Any) -> Any:
    """Return what stands for a value in JSON: itself, or the checksum of an array."""
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
    return list(value) if isinstance(value, tuple) else value


def plain(value: Any) -> Any:
    """Return a parameter as JSON has it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    array = np.asarray(value)
    return (array.astype(np.float64) if array.dtype.kind == "O" else array).tolist()


def check_same(wanted: Mapping[str, Any], got: Mapping[str, Any], name: str) -> None:
    """Refuse a part of another key; the message says what differs."""
    for entry in ("version", "function", "parameters", "zero", "sides", "plan"):
        here, there = wanted[entry], got[entry]
        if here == there:
            continue
        if entry == "sides":
            raise ValueError(f"{name}: must be of the same vectors, got {_other(here, there)}")
        if isinstance(here, dict):
            parts = sorted(part for part in {*here, *there} if here.get(part) != there.get(part))
            here = ", ".join(f"{part}={here.get(part)!r}" for part in parts)
            there = ", ".join(f"{part}={there.get(part)!r}" for part in parts)
        hint = ""
        if entry == "plan":
            made = got["made"]
            hint = f" (made with threads={made['threads']}, memory={made['memory']})"
        raise ValueError(
            f"{name}: must be of the same {entry}, {here!s:.200}, got {there!s:.200}{hint}"
        )


def _other(here: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]) -> str:
    shapes = [" and ".join(str(tuple(side["shape"])) for side in sides) for sides in (here, there)]
    if shapes[0] != shapes[1]:
        return f"shape {shapes[1]} where {shapes[0]} came"
    return "others of the same shape"
