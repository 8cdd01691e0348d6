"""What all pairs of vectors are expected to take on a device, from a few of its rates.

- *tile*: cuBLAS writes a tile of dot products, a fold reads it,
  max(2 d P / F, b P / B) + b P / B, with P pairs, F the library's rate, b bytes a product and B the
  memory's rate.  Where fp16 is multiplied a product has 2 or 4 bytes.
- *fused*: products stay in registers, 2 d P / M + c P / E, with M the rate of `mma.sync` from a
  kernel of ours, c instructions a pair in the fold and E the rate of these.

The H200's rates come from measurements of ours (`bench/cuda.md`), and 798 TFLOP/s (bf16) and 3.0
TB/s of the H100 from others'; the rest are scaled from data sheets.
"""

from __future__ import annotations

from dataclasses import dataclass

# Instructions a pair of a fold in registers, by its time: 39 us for 8192 x 8192 pairs on an H200.
FOLD_INSTRUCTIONS = 19
FEW, MANY = 1024, 4096  # depths between which cuBLAS's rate rises


@dataclass(frozen=True)
class Rates:
    """Sustained rates of a device, in TB/s and 10^12 operations/s.

    Of a product the rates are those at depths up to 1024 and from 4096 on.
    """

    memory: float
    library: dict[str, tuple[float, float]]
    fused: dict[str, tuple[float, float]]
    instructions: float


DEVICES = {
    "A100": Rates(
        1.75,
        {"float32": (18, 18.5), "float16": (230, 270)},
        {"float16": (215, 240)},
        108 * 64 * 1.3e-3,
    ),
    "H100": Rates(
        3.0,
        {"float32": (48, 52), "float16": (650, 780)},
        {"float16": (330, 330)},
        132 * 128 * 1.6e-3,
    ),
    "H200": Rates(
        3.2,  # what a fold reads; copies are at 4.1
        {"float32": (49, 50), "float16": (660, 800)},
        {"float16": (330, 330)},
        132 * 128 * 1.98e-3,
    ),
    "B200": Rates(
        6.8,
        {"float32": (60, 65), "float16": (1400, 1650)},
        {"float16": (450, 500)},
        148 * 128 * 1.8e-3,
    ),
}
WAYS = {  # products' type, bytes of a product, or none where they stay in registers
    "float32 tile": ("float32", 4),
    "float16, float32 tile": ("float16", 4),
    "float16 tile": ("float16", 2),
    "fused": ("float16", 0),
}


def rate(between: tuple[float, float], depth: int) -> float:
    """Return operations per second at a depth."""
    share = min(max((depth - FEW) / (MANY - FEW), 0.0), 1.0)
    return (between[0] + share * (between[1] - between[0])) * 1e12


def seconds(rates: Rates, way: str, n: int, depth: int) -> float:
    """Return the expected time of all pairs of n vectors."""
    pairs = n * (n - 1) / 2
    kind, size = WAYS[way]
    if size == 0:
        multiplying = 2 * depth * pairs / rate(rates.fused[kind], depth)
        return multiplying + FOLD_INSTRUCTIONS * pairs / (rates.instructions * 1e12)
    moving = size * pairs / (rates.memory * 1e12)
    return max(2 * depth * pairs / rate(rates.library[kind], depth), moving) + moving
