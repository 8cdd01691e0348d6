"""What constructions are made of: binary fields, signs, Hadamard matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..families import primes

# Primitive polynomials over F_2 by degree (Lidl & Niederreiter, Finite Fields, table D).
_PRIMITIVE = {
    2: 0b111,
    3: 0b1011,
    4: 0b10011,
    5: 0b100101,
    6: 0b1000011,
    7: 0b10000011,
    8: 0b100011101,
    9: 0b1000010001,
    10: 0b10000001001,
    11: 0b100000000101,
    12: 0b1000001010011,
    13: 0b10000000011011,
}
MOST_BITS = max(_PRIMITIVE)
_Ints = NDArray[np.int64]


class BinaryField:
    """F_2^m, m = 2, ..., 13: its elements are the integers below 2^m, one bit a coefficient."""

    def __init__(self, degree: int) -> None:
        self.degree, self.size = degree, 1 << degree
        self.elements = np.arange(self.size)
        powers = [1]
        while len(powers) < self.size - 1:
            double = powers[-1] << 1
            powers.append(double ^ _PRIMITIVE[degree] if double >> degree else double)
        self._powers = np.array(powers)
        self._logarithm = np.zeros(self.size, dtype=int)
        self._logarithm[self._powers] = np.arange(self.size - 1)

    def multiply(self, a: Any, b: Any) -> _Ints:
        """Return products, of arrays that broadcast."""
        exponents = (self._logarithm[a] + self._logarithm[b]) % (self.size - 1)
        return np.where((np.asarray(a) == 0) | (np.asarray(b) == 0), 0, self._powers[exponents])

    def power(self, a: Any, n: int) -> _Ints:
        """Return powers, n >= 1."""
        exponents = self._logarithm[a] * n % (self.size - 1)
        return np.where(np.asarray(a) == 0, 0, self._powers[exponents])

    def trace(self, a: Any) -> _Ints:
        """Return absolute traces, 0 or 1."""
        conjugates = [self.power(a, 1 << i) for i in range(self.degree)]
        traces: _Ints = np.bitwise_xor.reduce(conjugates, axis=0)
        return traces


def signs(bits: Any) -> NDArray[np.int8]:
    """Return 1 for 0, -1 for 1."""
    return (1 - 2 * np.asarray(bits)).astype(np.int8)


def sylvester(m: int) -> NDArray[np.int8]:
    """Return Sylvester's matrix of order 2^m: entry (x, y) is (-1)^(the product of their bits)."""
    result = np.ones((1, 1), dtype=np.int8)
    for _ in range(m):
        result = np.block([[result, result], [result, -result]])
    return result


def hadamard_matrix(order: int) -> NDArray[np.int8] | None:
    """Return a Hadamard matrix whose first column is ones; None where none is known here.

    Sylvester's doubling of Paley's (q + 1, q a prime of the form 4k + 3), or of 1.
    """
    doublings, core = 0, order
    while core % 2 == 0 and not _is_paley(core):
        doublings, core = doublings + 1, core // 2
    if core == 1:
        return sylvester(doublings)
    if not _is_paley(core):
        return None
    q = core - 1
    squares = quadratic_character(q)
    matrix = np.ones((core, core), dtype=np.int8)
    matrix[1:, 1:] = squares[np.subtract.outer(np.arange(q), np.arange(q)) % q]
    matrix[1:, 0] = -1
    matrix[np.arange(1, core), np.arange(1, core)] = 1
    matrix = np.kron(sylvester(doublings), matrix)
    normal: NDArray[np.int8] = matrix * matrix[:, :1]
    return normal


def _is_paley(order: int) -> bool:
    return order > 2 and order % 4 == 0 and order - 1 in primes(order)


def quadratic_character(q: int) -> NDArray[np.int8]:
    """Return 1 for squares, -1 for others, 0 for 0, modulo a prime q."""
    character = np.full(q, -1, dtype=np.int8)
    character[np.arange(1, q) ** 2 % q] = 1
    character[0] = 0
    return character
