"""Elements of HTML, and numbers as a page shows them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Markup:
    """Text that is HTML already; any other text is escaped."""

    html: str


Content = str | Markup


def html(content: Content) -> str:
    """Return a content as HTML."""
    return content.html if isinstance(content, Markup) else escape(content)


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what it shows, and the number it is sorted by."""

    shown: Content
    value: float | None = None


def element(name: str, *contents: Content, **attributes: str) -> Markup:
    """Return an element; an attribute `class_` is written class."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{''.join(map(html, contents))}</{name}>")


def joined(contents: Iterable[Content]) -> Markup:
    """Return contents one after the other."""
    return Markup("\n".join(map(html, contents)))


def table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[Content | Cell]],
    *,
    texts: Sequence[int] = (0,),
    sortable: bool = False,
) -> Markup:
    """Return a table with a caption for those who do not see it, and heads for its columns.

    The first cell of each row is its head; columns but for `texts` are numbers, to the right.
    """
    classes = ["text" if place in texts else "number" for place in range(len(heads))]
    head = [
        element("th", name, scope="col", class_=kind)
        for name, kind in zip(heads, classes, strict=True)
    ]
    body = [
        element("tr", *(_cell(cell, place, classes[place]) for place, cell in enumerate(row)))
        for row in rows
    ]
    whole = element(
        "table",
        element("caption", caption, class_="unseen"),
        element("thead", element("tr", *head)),
        element("tbody", Markup("\n"), joined(body), Markup("\n")),
        **({"class_": "sortable"} if sortable else {}),
    )
    # What scrolls must be reached by the keyboard too.
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _cell(cell: Content | Cell, place: int, kind: str) -> Markup:
    content = cell if isinstance(cell, Cell) else Cell(cell)
    attributes = {"class_": kind}
    if content.value is not None:
        attributes["data_value"] = repr(content.value)
    if place:
        return element("td", content.shown, **attributes)
    return element("th", content.shown, scope="row", **attributes)


def figure(value: float | None, digits: int = 4) -> str:
    """Return a number with so many digits, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value != 0.0 and abs(value) < 10.0 ** (1 - digits):
        return power(f"{value:.2e}")
    return f"{value:,.{digits}f}"


def power(text: str) -> str:
    """Return 1.23e-45 as 1.23 × 10⁻⁴⁵."""
    mantissa, _, exponent = text.partition("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} × 10{raised}"


def amount(log10: float, count: int | None) -> str:
    """Return a number that may be known by its logarithm alone."""
    if count is not None and count < 10**9:
        return f"{count:,}"
    whole = math.floor(log10)
    if log10 > 1000.0:
        return power(f"1e{whole}").removeprefix("1 × ")
    return power(f"{10.0 ** (log10 - whole):.2f}e{whole}")


def count_of(number: int, one: str, many: str | None = None) -> str:
    """Return a number with what it counts."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
