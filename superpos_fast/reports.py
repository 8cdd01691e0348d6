"""A report to send: everything there is to say about a set of vectors, on one page of HTML."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from .drawing import need_matplotlib
from .execution import Execution, check_keywords
from .labels import Labels, labels_of
from .vectors import Matrix, as_source, check_count

if TYPE_CHECKING:
    from .findings import Findings

_MOST_PAIRS = 10_000


@dataclass(frozen=True)
class Report:
    """What was found, and the page that shows it.

    Attributes
    ----------
    findings : Findings
        ``statistics`` (of `describe`), ``floor``, ``closest`` pairs, ``groups`` of near-duplicates,
        what is nearly ``orthogonal``, ``interference`` and ``dimensionality`` of each vector.
    html : str
        The page: one file that needs no other, and no network.
    """

    findings: Findings
    html: str = field(repr=False, compare=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file.

        Raises
        ------
        OSError
            If that cannot be done.
        """
        Path(path).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        """Show the page in a notebook, in a frame of its own."""
        style = "width: 100%; height: 48rem; border: 0"
        return f'<iframe title="report" style="{style}" srcdoc="{escape(self.html)}"></iframe>'


def report(
    vectors: Matrix,
    path: str | os.PathLike[str] | None = None,
    *,
    labels: Labels | None = None,
    title: str | None = None,
    top: int = 50,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Report:
    """Return a page on the angles of all pairs of vectors, to read or to send.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, as for `coherence`.
    path : str or os.PathLike, optional
        Write the page there too.
    labels : sequence of str, mapping of int to str, or path; optional
        Names of the rows; or a file with a name a line, or a .json file with a list or an object.
    title : str, optional
        Of the page.
    top : int
        How many of the closest pairs to list, at most 10,000.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out.
    **execution
        How to compute, never what (see `Execution`), without ``checkpoint`` and ``shard``.

    Returns
    -------
    Report
        ``.html``, one page without network, scripts it hangs on, or other files; ``.save(path)``;
        ``.findings``, all that it says.

    Raises
    ------
    ImportError
        Without matplotlib, which draws the pictures.
    TypeError, ValueError
        As for `coherence`, and for labels that do not fit the rows.

    Notes
    -----
    Takes `describe`, twice `pairs`, `interference` and `dimensionality`: three passes over the
    pairs, of which the latter two are screened, and 2 n d^2 operations.  Near-duplicates are the
    connected components of the pairs with |cos| of at least 0.7, 0.8, 0.9 and 0.95; where more than
    2,000,000 pairs (or fewer under a small ``memory``) reach one of these, they are not grouped.

    Examples
    --------
    >>> import superpos_fast
    >>> made = superpos_fast.report(superpos_fast.random_rows(300, 16), title="Random directions")
    >>> made.html.count("<svg"), made.findings.statistics.pairs
    (4, 44850)
    """
    need_matplotlib()
    check_keywords(execution)
    check_count(top, "top", 1, _MOST_PAIRS)
    for name in ("checkpoint", "shard"):
        if execution.get(name) is not None:
            raise ValueError(f"{name}: must be left out of a report, got one")
    if not isinstance(title, str | None):
        raise TypeError(f"title: must be a string, got {type(title).__name__}")
    if not isinstance(path, str | os.PathLike | None):
        raise TypeError(f"path: must be a path, got {type(path).__name__}")
    source = as_source(vectors, "vectors", execution.get("tensor"))
    names = labels_of(labels, source.shape[0])

    from . import __version__
    from .findings import find
    from .page.whole import page

    found = find(source, top, zero, execution)
    heading = "Angles between vectors" if title is None else title
    made = Report(found, page(found, heading, names, __version__))
    if path is not None:
        made.save(path)
    return made
