"""The CUDA C sources as text, and the signatures of the kernels in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FOLDER = Path(__file__).parent
FILES = ("rows.cu", "decisions.cu", "tiles.cu", "fused.cu")

# Types of parameters; None is an array of any.
TYPES: dict[str, type[np.generic] | None] = {
    "void": None,
    "u8": np.uint8,
    "int": np.int32,
    "u32": np.uint32,
    "i64": np.int64,
    "u64": np.uint64,
    "Half": np.float16,
    "float": np.float32,
    "double": np.float64,
}


class Parameter(NamedTuple):
    """A kernel's parameter: a number, or the address of numbers that may be `constant`."""

    name: str
    type: type[np.generic] | None
    pointer: bool
    constant: bool


class Signature(NamedTuple):
    """A kernel's name, file, threads a block and parameters."""

    name: str
    file: str
    threads: int
    parameters: tuple[Parameter, ...]


def source(file: str, instead: dict[str, str] | None = None) -> str:
    """Return a file with what it includes in place, so that its text tells all there is to compile.

    CuPy keeps compiled modules by the text they were compiled from, in which a file that is only
    named would change unseen.  `instead` has texts to take for some of the files.
    """
    seen: set[str] = set()

    def text(name: str) -> str:
        if name in seen:
            return ""
        seen.add(name)
        here = (instead or {}).get(name) or (FOLDER / name).read_text("utf-8")
        return re.sub(r'^#include "(\S+)"$', lambda match: text(match[1]), here, flags=re.M)

    return text(file)


@cache
def signatures() -> dict[str, Signature]:
    """Return the signatures of all kernels by name."""
    found = {}
    for file in FILES:
        for signature in parse(source(file), file):
            found[signature.name] = signature
    return found


def parse(text: str, file: str) -> Iterator[Signature]:
    """Yield the signatures of the kernels that a source defines."""
    text = re.sub(r"//[^\n]*", "", text).replace("\\\n", " ")
    macros = _macros(text)
    for match in re.finditer(r"^KERNEL\(\w+\)(?=\()", text, re.M):
        inside = _arguments(text, match.end())[0]
        declaration = _expand(f"{match[0]}({inside})", macros)
        head = re.match(
            r'extern "C" __global__ void __launch_bounds__\((\d+)[^)]*\)\s*(\w+)', declaration
        )
        assert head is not None, declaration
        inside = _arguments(declaration, head.end())[0]
        yield Signature(
            head[2], file, int(head[1]), tuple(_parameter(part) for part in _split(inside))
        )


def _parameter(text: str) -> Parameter:
    match = re.fullmatch(r"\s*(const\s+)?(\w+)\s*(\*?)\s*(\w+)\s*", text)
    if match is None or match[2] not in TYPES:
        raise ValueError(f"not a parameter that kernels have: {text!r}")
    return Parameter(match[4], TYPES[match[2]], bool(match[3]), bool(match[1]))


def _macros(text: str) -> dict[str, tuple[list[str] | None, str]]:
    """Return each macro's parameters (None: it takes none) and body."""
    pattern = r"^#define (\w+)(?:\(([\w, ]*)\))?[ \t]+(.*)$"
    return {
        match[1]: (None if match[2] is None else [p.strip() for p in match[2].split(",")], match[3])
        for match in re.finditer(pattern, text, re.M)
    }


def _expand(text: str, macros: dict[str, Any]) -> str:
    """Return text with macros expanded, from the left, until none is left."""
    start = 0
    while match := re.search(r"\b\w+\b", text[start:]):
        low, high = start + match.start(), start + match.end()
        if match[0] not in macros:
            start = high
            continue
        names, body = macros[match[0]]
        if names is not None:
            inside, high = _arguments(text, high)
            for name, value in zip(names, _split(inside), strict=True):
                body = re.sub(rf"\b{name}\b", value.strip(), body)
        text, start = text[:low] + body + text[high:], low
    return text


def _arguments(text: str, start: int) -> tuple[str, int]:
    """Return what stands between a parenthesis at `start` and its partner, and where that ends."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return text[start + 1 : place], place + 1
    raise ValueError(f"unbalanced parentheses: {text[start : start + 60]!r}")


def _split(text: str) -> list[str]:
    """Split at the commas that no parentheses enclose."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
