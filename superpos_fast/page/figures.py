"""Pictures of matplotlib as SVG that takes the page's colours, light or dark, and its letters."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from ..drawing import ACCENT, CHANCE, GRID, INK, QUIET, bare
from .markup import Markup, element

# Colours that pictures are drawn in, and the page's variables that stand for them.
_VARIABLES = {
    INK: "var(--ink)",
    QUIET: "var(--axis)",
    GRID: "var(--rule)",
    ACCENT: "var(--accent)",
    CHANCE: "var(--chance)",
}
_SIZE = (5.2, 3.5)


def drawn(name: str, draw: Callable[[Any], None], alternative: str, caption: str) -> Markup:
    """Return what `draw` draws on axes, with words for those who do not see it, and a caption."""
    picture = Markup(_svg(name, draw, alternative))
    return element("figure", picture, element("figcaption", caption))


def _svg(name: str, draw: Callable[[Any], None], alternative: str) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    chart = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasSVG(chart)
    axes = chart.subplots()
    bare(axes)
    draw(axes)
    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        chart.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return _adapted(stream.getvalue(), name, alternative)


def _adapted(svg: str, name: str, alternative: str) -> str:
    """Return the element alone: colours by variables, letters the page's, names of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg).replace("url(#", f"url(#{name}-")
    (box,) = re.findall(r'viewBox="[^"]*"', svg[: svg.index(">")])
    title = element("title", alternative, id=f"{name}-title").html
    head = (
        f'<svg {box} xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    )
    return f'{head} role="img" aria-labelledby="{name}-title">{title}{svg[svg.index(">") + 1 :]}'
