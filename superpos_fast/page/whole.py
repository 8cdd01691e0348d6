"""The whole page."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from importlib.resources import files

from ..findings import Findings
from . import sections
from .markup import html, joined
from .sections import Names


def page(found: Findings, title: str, names: Names, version: str) -> str:
    """Return a report as HTML that needs nothing else."""
    made = datetime.now(UTC).strftime("%Y-%m-%d")
    main = joined(
        [
            sections.head(found, title, names),
            sections.comparison(found),
            sections.distributions(found),
            sections.closest(found, names),
            sections.duplicates(found, names),
            sections.orthogonal(found),
        ]
    )
    style, script = (
        files(__package__).joinpath(name).read_text(encoding="utf-8")
        for name in ("page.css", "page.js")
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
{html(main)}
</main>
{html(sections.provenance(found, version, made))}
<script>
{script}</script>
</body>
</html>
"""
