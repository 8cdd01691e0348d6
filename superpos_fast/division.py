"""Divided questions: shards of a call, runs that were stopped, and how parts make the answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial, wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

import numpy as np

from . import __version__
from .blocks import NoRows
from .execution import Resources
from .ledger import Book
from .parts import Divided, Part, check_same, plain
from .plan import Plan
from .vectors import Each, Vectors, content

P = ParamSpec("P")
R = TypeVar("R")

# Gives the parts that are known, one after the other.
Known = Callable[[], Iterator[Part]]

_SIDES = ("vectors", "other", "a", "b")
_FUNCTIONS: dict[str, Callable[..., Any]] = {}


@dataclass
class Call:
    """A call of a function that looks at every pair once.

    Attributes
    ----------
    function : str
        Its name.
    parameters : dict
        What it was asked, apart from the vectors.
    known : callable or None
        Gives what is known already, and then nothing else is looked at.
    part : Part or None
        What it comes to know.
    """

    function: str
    parameters: dict[str, Any]
    known: Known | None = None
    part: Part | None = None


_CALL: ContextVar[Call | None] = ContextVar("call", default=None)


@contextmanager
def _calling(call: Call) -> Iterator[Call]:
    """Be within a call, as long as the ``with``."""
    token = _CALL.set(call)
    try:
        yield call
    finally:
        _CALL.reset(token)


def current_call() -> Call | None:
    """Return the call that this thread is in."""
    return _CALL.get()


def divisible(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function that looks at every pair once take `shard`, and its parts be joined."""
    _FUNCTIONS[function.__name__] = function
    described = signature(function)

    @wraps(function)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            bound = described.bind(*args, **kwargs)
        except TypeError:  # the function says it better
            return function(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        shard = given.pop("execution").get("shard")
        parameters = {name: value for name, value in given.items() if name not in _SIDES}
        with _calling(Call(function.__name__, parameters)) as call:
            try:
                answer = function(*args, **kwargs)
            except Divided:
                return call.part  # type: ignore[return-value]
            return answer if shard is None else call.part  # type: ignore[return-value]

    return asked


def merge(parts: Iterable[Part | str | os.PathLike[str]]) -> Any:
    """Return the answer of a call, given the parts that its shards have found.

    Parameters
    ----------
    parts : iterable of Part, str or os.PathLike
        What the calls with ``shard=(0, K)``, ..., ``shard=(K - 1, K)`` returned, or files of it:
        saved parts, or checkpoints of shards that are done.

    Returns
    -------
    object
        What the function returns without `shard`, to the bit (`mean_cosine`: on like machines).

    Raises
    ------
    TypeError, ValueError
        If the parts are not of one question, vectors and plan, or do not make up all pairs.
    OSError
        If a file cannot be opened.

    Notes
    -----
    The vectors are not needed.  Files are read one after the other, three times.

    Examples
    --------
    >>> import superpos_fast
    >>> rows = superpos_fast.random_rows(500, 8)
    >>> parts = [superpos_fast.coherence(rows, shard=(k, 3)) for k in range(3)]
    >>> superpos_fast.merge(parts) == superpos_fast.coherence(rows)
    True
    """
    given = list(parts)
    if not given:
        raise ValueError("parts: must be at least one, got none")
    first: Part | None = None
    stretches: list[tuple[int, int]] = []
    for place, part in enumerate(map(_loaded, given)):
        first = part if first is None else first
        check_same(first.key, part.key, f"parts[{place}]")
        stretches += [(one.begin, one.done) for one in part.passes]
    assert first is not None
    if first.passes:
        _check_whole(sorted(stretches), first.total)
    return result(first, lambda: map(_loaded, given))


def _loaded(part: Part | str | os.PathLike[str]) -> Part:
    if isinstance(part, Part):
        return part
    if not isinstance(part, str | os.PathLike):
        raise TypeError(f"parts: must be parts or paths of files, got {part!r:.60}")
    return Part.load(part, "parts")


def _check_whole(stretches: Sequence[tuple[int, int]], total: int) -> None:
    place = 0
    for begin, end in [*stretches, (total, total)]:
        if begin < place:
            raise ValueError(f"parts: must not overlap, got pairs {begin} to {place} twice")
        if begin > place:
            raise ValueError(
                f"parts: must make up all {total} pairs, got none with pairs {place} to {begin}"
            )
        place = end


def result(part: Part, known: Known | None = None) -> Any:
    """Return the answer about what is known: a part, or those that `known` gives."""
    name = part.key["function"]
    if name not in _FUNCTIONS:
        raise ValueError("part: must be of a function that looks at every pair once")
    sides = [
        Vectors(
            "part",
            NoRows(tuple(about["shape"]), np.dtype(np.float32)),
            np.zeros(len(kept), np.int32),
            kept.astype(np.float64),
        )
        for about, kept in zip(part.key["sides"], part.kept, strict=True)
    ]
    call = Call(name, part.key["parameters"], known or partial(iter, [part]))
    with _calling(call):
        return _FUNCTIONS[name](*sides, **part.key["parameters"])


def open_book(
    rows: Vectors,
    columns: Vectors,
    zero: str,
    allowed: Resources,
    backend: str,
    memory: int,
    plan: Plan,
    each: Each,
) -> Book:
    """Open the book of the call that this thread is in.

    The vectors' numbers are looked at if the book is to be kept.
    """
    call = current_call()
    if call is None and allowed.shard is not None:
        raise ValueError(
            "shard: must be left out of what does not look at every pair exactly once, "
            f"got {allowed.shard}"
        )
    is_kept = allowed.shard is not None or allowed.checkpoint is not None
    parameters = {} if call is None else call.parameters
    if is_kept:
        parameters = {name: plain(value) for name, value in parameters.items()}
    sides = [rows] if columns is rows else [rows, columns]
    contents = [content(side, plan.read_rows, each) if is_kept else "" for side in sides]
    key = {
        "version": __version__,
        "function": None if call is None else call.function,
        "parameters": parameters,
        "zero": zero,
        "sides": [
            {"shape": list(side.source.shape), "content": numbers}
            for side, numbers in zip(sides, contents, strict=True)
        ],
        "plan": {"backend": backend, **plan.geometry},
        "made": {"threads": allowed.threads, "memory": memory},
    }
    part = Part(key, plan.pairs, kept=[side.squares > 0.0 for side in sides])
    if call is None:
        return Book(part, None, allowed.checkpoint)
    call.part = part
    return Book(part, allowed.shard, allowed.checkpoint, call.known)
