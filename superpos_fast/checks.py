"""Names and whole numbers that come as arguments, and how what came is shown in a message."""

from __future__ import annotations

from operator import index
from typing import Any

_LONGEST = 80


def shown(value: object) -> str:
    """Return a value as a message shows it: on one line, and not all of a long one."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def check_choice(value: object, name: str, *choices: str) -> str:
    """Return one of a few names; whatever else came, arrays included, is refused."""
    if not isinstance(value, str) or value not in choices:
        *others, last = map(repr, choices)
        known = (
            f"one of {', '.join(others)}, {last}" if len(others) > 1 else f"{others[0]} or {last}"
        )
        raise ValueError(f"{name}: must be {known}, got {shown(value)}")
    return value


def check_integer(value: Any, name: str) -> int:
    """Return a whole number that came as one."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return index(value)
    except TypeError:
        raise TypeError(f"{name}: must be a whole number, got {shown(value)}") from None
