"""Normal numbers by their place in a stream, in plain NumPy; `cpu.normals` gives the same bits.

A call of Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011, *Parallel random numbers: as easy as 1,
2, 3*) turns a counter into 128 bits, of which Box & Muller (1958, *A note on the generation of
random normal deviates*) make normals, two of two numbers u and v that are uniform on (0, 1) and on
a turn:

    r = sqrt(-2 ln u)       r cos v, r sin v
    ln u = e ln 2 + 2 artanh s,  s = (m - 1) / (m + 1),  u = m 2^e,  m within [sqrt 1/2, sqrt 2)

Sums, products, quotients and square roots of the numbers' own precision, and series by Horner's
rule without fused additions: so the bits are the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

# Calls whose numbers lie together: all first ones, then all second ones, ...
CALLS = 64
ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
INCREMENTS = 0x9E3779B9, 0xBB67AE85
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@dataclass(frozen=True)
class Precision:
    """How numbers of a type are made.

    Attributes
    ----------
    bits : int
        Of the numbers that u and v are made of, and of the type itself.
    fraction : int
        Bits of the type behind the point.
    below_one : float
        The largest number of the type below 1.
    half : int
        The bits of sqrt 1/2.
    logarithm, sine, cosine : tuple of float
        Series in the square of s, and of quarter turns: as many terms as the precision sees.
    """

    bits: int
    fraction: int
    below_one: float
    half: int
    logarithm: tuple[float, ...]
    sine: tuple[float, ...]
    cosine: tuple[float, ...]

    @property
    def block(self) -> int:
        """Return how many normals come together: the stream is generated in whole blocks."""
        return CALLS * 128 // self.bits


def _precision(bits: int, terms: int, dtype: Any) -> Precision:
    # As fractions: the C library's powers are not the same everywhere.
    quarter = Fraction(math.pi / 2)
    powers = [(-1) ** (k // 2) * float(quarter**k) / math.factorial(k) for k in range(2 * terms)]
    return Precision(
        bits=bits,
        fraction=int(np.finfo(dtype).nmant),
        below_one=float(np.nextafter(dtype(1), dtype(0))),
        half=int(np.sqrt(dtype(0.5)).view(f"i{bits // 8}")),
        logarithm=tuple(2.0 / (2 * k + 1) for k in range(terms)),
        sine=tuple(powers[1::2]),
        cosine=tuple(powers[::2]),
    )


# The first term that is left out is beneath half a unit of the last place.
PRECISIONS = {4: _precision(32, 6, np.float32), 8: _precision(64, 11, np.float64)}


def normals(seed: int, first: int, count: int, dtype: Any) -> Any:
    """Return so many normals of the stream of a seed and a type, from number `first` on."""
    dtype = np.dtype(dtype)
    block = PRECISIONS[dtype.itemsize].block
    blocks = range(first // block, -(-(first + count) // block))
    found = [_block(seed, number, dtype) for number in blocks]
    start = first - blocks.start * block
    return np.concatenate(found or [np.empty(0, dtype)])[start : start + count]


def _block(seed: int, number: int, dtype: Any) -> Any:
    calls = np.uint64(number * CALLS) + np.arange(CALLS, dtype=np.uint64)
    kind = np.full_like(calls, dtype.itemsize)
    counter = [calls & _LOW, calls >> _HALF, kind, np.zeros_like(calls)]
    words = np.stack(philox(counter, (seed & 0xFFFFFFFF, seed >> 32)))
    words = words.astype(np.uint32) if dtype.itemsize == 4 else words[::2] << _HALF | words[1::2]
    pairs = zip(words[::2], words[1::2], strict=True)
    return np.concatenate([some for u, v in pairs for some in pair(u, v, dtype)])


def philox(counter: Sequence[Any], key: Sequence[int]) -> list[Any]:
    """Return what four 32-bit words, in 64-bit numbers, become by two as their key."""
    words, keys = list(counter), list(key)
    for _ in range(ROUNDS):
        even, odd = (np.uint64(m) * words[2 * n] for n, m in enumerate(MULTIPLIERS))
        words = [
            odd >> _HALF ^ words[1] ^ np.uint64(keys[0]),
            odd & _LOW,
            even >> _HALF ^ words[3] ^ np.uint64(keys[1]),
            even & _LOW,
        ]
        keys = [(k + step) & 0xFFFFFFFF for k, step in zip(keys, INCREMENTS, strict=True)]
    return words


def pair(u: Any, v: Any, dtype: Any) -> tuple[Any, Any]:
    """Return the two normals of each u and v, whole numbers without a sign."""
    dtype = np.dtype(dtype)
    how, number = PRECISIONS[dtype.itemsize], dtype.type
    whole = np.dtype(f"i{dtype.itemsize}").type
    uniform = u.astype(dtype) * number(2.0**-how.bits) + number(2.0 ** (-how.bits - 1))
    uniform = np.minimum(uniform, number(how.below_one))
    bits = uniform.view(whole)
    exponent = (bits - whole(how.half)) >> whole(how.fraction)
    mantissa = (bits - (exponent << whole(how.fraction))).view(dtype)
    share = (mantissa - number(1)) / (mantissa + number(1))
    logarithm = exponent.astype(dtype) * number(math.log(2.0))
    logarithm = logarithm + share * _series(how.logarithm, share * share, number)
    length = np.sqrt(number(-2) * logarithm)

    turn = v.view(whole)
    quarters = (turn + whole(1 << (how.bits - 3))) >> whole(how.bits - 2)
    rest = turn - (quarters << whole(how.bits - 2))
    angle = rest.astype(dtype) * number(2.0 ** (2 - how.bits)) + number(2.0 ** (1 - how.bits))
    square = angle * angle
    sine = angle * _series(how.sine, square, number)
    cosine = _series(how.cosine, square, number)
    crossed = (quarters & whole(1)) != 0
    both = (
        (np.where(crossed, sine, cosine), quarters + whole(1)),
        (np.where(crossed, cosine, sine), quarters),
    )
    found = [length * np.where(sign & whole(2), -value, value) for value, sign in both]
    return found[0], found[1]


def _series(terms: tuple[float, ...], x: Any, number: Any) -> Any:
    total = np.full_like(x, terms[-1])
    for term in reversed(terms[:-1]):
        total = total * x + number(term)
    return total
