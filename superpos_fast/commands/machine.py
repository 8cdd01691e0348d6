"""`bench`, `merge` and `demo`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..data import example
from .answers import Answer, Output, show, table_of
from .shared import Effort, command, numbers
from .writing import plain

_STRIP = 1024

PANEL = "This machine, this package"


def add(app: typer.Typer) -> None:
    """Register the commands."""
    command(
        app.command,
        "superpos-fast bench",
        "superpos-fast bench --n 32768 --d 64,768 --repeat 5 --json",
        rich_help_panel=PANEL,
    )(bench)
    command(app.command, "superpos-fast merge part-*.ckpt", rich_help_panel=PANEL)(merge)
    command(app.command, "superpos-fast demo", rich_help_panel=PANEL)(demo)


def bench(
    n: Annotated[int, typer.Option("--n", min=2, help="Rows.")] = 8192,
    d: Annotated[str, typer.Option("--d", help="Dimensions, with commas between.")] = "64,256,768",
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Best of so many calls.")] = 3,
    effort: Effort = Effort(),
    output: Output = Output(),
) -> None:
    """Time this machine, beside NumPy's matrix products."""
    output.check()
    from .. import coherence

    keywords = effort.keywords() | {"progress": bool(effort.progress)}
    found: list[dict[str, Any]] = []
    for depth in numbers(d, "--d", True):
        if depth < 1:
            raise ValueError(f"--d: must be at least 1, got {depth}")
        rows = np.random.default_rng(0).standard_normal((n, depth), np.float32)
        coherence(rows[: min(n, 512)], **keywords)  # compiles, or loads, the kernels
        flops = n * (n - 1) * depth / 1e9

        def ours(rows: Any = rows) -> None:
            coherence(rows, **keywords)

        def products(rows: Any = rows) -> None:
            for low in range(0, n, _STRIP):
                rows[low : low + _STRIP] @ rows[low:].T

        seconds, plain_seconds = _best(ours, repeat), _best(products, repeat)
        found.append(
            {
                "n": n,
                "d": depth,
                "seconds": seconds,
                "gflops": flops / seconds,
                "numpy_seconds": plain_seconds,
                "numpy_gflops": flops / plain_seconds,
            }
        )
    columns = {name: np.array([row[name] for row in found]) for name in found[0]}
    shown = [
        (f"{row['n']} x {row['d']}", f"{row['seconds']:.3g}", f"{row['gflops']:.0f}",
         f"{row['numpy_seconds']:.3g}", f"{row['numpy_gflops']:.0f}")
        for row in found
    ]  # fmt: skip
    heads = ("rows x d", "seconds", "GFLOP/s", "NumPy seconds", "NumPy GFLOP/s")
    note = (
        "useful GFLOP/s: n (n - 1) d over the seconds of a whole call; "
        "NumPy: matrix products of the same pairs in strips, without any maximum"
    )
    output.write(Answer({"rows": found}, {}, {}, columns, [table_of(heads, shown, note)]))


def _best(call: Callable[[], None], repeat: int) -> float:
    seconds = []
    for _ in range(repeat):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Parts of one question.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the answer that checkpoints of shards make up."""
    from .. import merge as join

    found = join(files)
    print(json.dumps(plain(_entries(found))) if as_json else found, flush=True)


def _entries(value: Any) -> Any:
    """Return records as objects, without the facts about their run."""
    if is_dataclass(value):
        named = {part.name: getattr(value, part.name) for part in fields(value) if part.compare}
        return {name: _entries(part) for name, part in named.items()}
    if isinstance(value, tuple | list):
        return [_entries(part) for part in value]
    return value


def demo() -> None:
    """Show what this does, on the dictionary that ships with it."""
    from .. import describe, pairs
    from ..capacity import bounds

    vectors = example()
    show("A sparse autoencoder's dictionary: one direction a row.\n\n$ superpos-fast describe")
    show(str(describe(vectors)))
    found = pairs(vectors, top=5)
    show("\n$ superpos-fast pairs --top 5")
    rows = [
        (f"{i}", f"{j}", f"{cosine:+.6f}")
        for i, j, cosine in zip(found.i, found.j, found.cosine, strict=True)
    ]
    show(table_of(("i", "j", "cosine"), rows))
    d = vectors.shape[1]
    show(f"$ superpos-fast capacity --d {d} --angle 85\n{bounds(d, angle=85)}\n")
    show("Next: superpos-fast report -o report.html")
