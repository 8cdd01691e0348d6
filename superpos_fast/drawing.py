"""What all pictures share: their colours, bare axes, and where to draw.

Nothing here changes matplotlib's settings: colours and sizes go to each artist.
"""

from __future__ import annotations

from typing import Any

INK, QUIET, GRID = "#222222", "#8a8a8a", "#e6e6e6"
# What was measured, and what chance alone would give.
ACCENT, CHANCE = "#0072b2", "#737373"
# Told apart in grey and by those who see few colours too (Okabe & Ito 2008).
COLOURS = (ACCENT, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

_SIZE = (6.4, 4.2)
_SMALL = 9


def need_matplotlib() -> None:
    """Refuse to draw without matplotlib, in a line that says where it comes from."""
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'superpos_fast[plot]'") from None


def axes_or_new(ax: Any) -> Any:
    """Return the axes that were given, or those of a new figure of pyplot's; bare in either case.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError
        If `ax` is no axes of matplotlib.
    """
    need_matplotlib()
    from matplotlib.axes import Axes

    if ax is None:
        from matplotlib import pyplot as plt

        _, ax = plt.subplots(figsize=_SIZE, layout="constrained")
    elif not isinstance(ax, Axes):
        raise TypeError(f"ax: must be axes of matplotlib, got {type(ax).__name__}")
    bare(ax)
    return ax


def bare(axes: Any) -> None:
    """Leave two spines and a quiet grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", color=QUIET, labelcolor=INK, labelsize=_SMALL)


def named(axes: Any, title: str, x: str, y: str) -> None:
    """Write what is drawn, and what along which axis, with units."""
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)


def plain_numbers(axis: Any) -> None:
    """Write 1,000 instead of a power of ten."""
    axis.set_major_formatter(lambda value, _: f"{value:,g}")


def legend(axes: Any, **options: Any) -> None:
    """Tell what is what, without a frame."""
    axes.legend(
        **{"frameon": False, "fontsize": _SMALL, "labelcolor": INK, "loc": "best"} | options
    )
