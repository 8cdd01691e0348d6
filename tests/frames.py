"""Frames whose cosines are known exactly: one vector a row, up to sign, in integers if possible.

The fields are F_p (a prime) and F_2^m, whose elements are the integers below 2^m, one bit a
coefficient.
"""

from itertools import combinations, product

import numpy as np

IRREDUCIBLE = {3: 0b1011, 5: 0b100101, 7: 0b10000011}


class BinaryField:
    """F_2^m for m in IRREDUCIBLE, where 2^m - 1 is prime, so that x itself generates."""

    def __init__(self, degree):
        self.degree, self.size = degree, 1 << degree
        self.elements = np.arange(self.size)
        powers = [1]
        while len(powers) < self.size - 1:
            double = powers[-1] << 1
            powers.append(double ^ IRREDUCIBLE[degree] if double >> degree else double)
        self.powers = np.array(powers)
        self.logarithm = np.zeros(self.size, dtype=int)
        self.logarithm[self.powers] = np.arange(self.size - 1)

    def multiply(self, a, b):
        exponents = (self.logarithm[a] + self.logarithm[b]) % (self.size - 1)
        return np.where((a == 0) | (b == 0), 0, self.powers[exponents])

    def power(self, a, n):
        return np.where(a == 0, 0, self.powers[self.logarithm[a] * n % (self.size - 1)])

    def trace(self, a):
        return np.bitwise_xor.reduce([self.power(a, 1 << i) for i in range(self.degree)], axis=0)


def signs(bits):
    return (1 - 2 * np.asarray(bits)).astype(np.int8)


def up_to_sign(rows):
    """The rows whose first entry other than 0 is positive."""
    leading = np.take_along_axis(rows, (rows != 0).argmax(axis=1)[:, None], axis=1)[:, 0]
    return rows[leading > 0]


def orthogonal_to(rows, *vectors):
    return rows[(rows.astype(int) @ np.transpose(vectors) == 0).all(axis=1)]


# Root systems and lattices


def two_entries(d, size):
    """All vectors with two entries +-size and zeros elsewhere."""
    rows = np.zeros((2 * d * (d - 1), d), dtype=np.int8)
    for row, (places, values) in zip(
        rows, product(combinations(range(d), 2), product((size, -size), repeat=2)), strict=True
    ):
        row[list(places)] = values
    return rows


def d4():
    return up_to_sign(two_entries(4, 1))


def e8():
    halves = np.array(list(product((1, -1), repeat=8)), dtype=np.int8)
    return up_to_sign(np.concatenate([two_entries(8, 2), halves[halves.prod(axis=1) == 1]]))


def e7():
    """The 63 lines of E8 perpendicular to one of its roots, in 8 coordinates."""
    return orthogonal_to(e8(), [1] * 8)


def e6():
    """The 36 lines of E8 perpendicular to a hexagon of its roots, in 8 coordinates."""
    return orthogonal_to(e8(), [1] * 8, [2, 2, 0, 0, 0, 0, 0, 0])


def lines28():
    """28 equiangular lines of R^7 in 8 coordinates: the permutations of (3, 3, -1, ..., -1)."""
    rows = np.full((28, 8), -1, dtype=np.int8)
    for row, places in zip(rows, combinations(range(8), 2), strict=True):
        row[list(places)] = 3
    return rows


def golay():
    """The 4096 words of the extended binary Golay code."""
    generator = np.array([int(bit) for bit in "110001110101"])
    basis = np.array([np.pad(generator, (shift, 11 - shift)) for shift in range(12)])
    messages = np.arange(4096)[:, None] >> np.arange(12) & 1
    words = messages @ basis % 2
    return np.concatenate([words, words.sum(axis=1, keepdims=True) % 2], axis=1).astype(np.int8)


def leech():
    """The 98280 lines of the Leech lattice's minimal vectors, times sqrt(8)."""
    words = golay()
    octads = words[words.sum(axis=1) == 8]
    even = np.array(list(product((2, -2), repeat=8)), dtype=np.int8)
    even = even[(even < 0).sum(axis=1) % 2 == 0]
    eights = np.zeros((len(octads), len(even), 24), dtype=np.int8)
    for block, octad in zip(eights, octads, strict=True):
        block[:, octad == 1] = even
    odd = np.ones((24, 24), dtype=np.int8) - 4 * np.eye(24, dtype=np.int8)
    threes = signs(words)[:, None] * odd
    shapes = two_entries(24, 4), eights.reshape(-1, 24), threes.reshape(-1, 24)
    return up_to_sign(np.concatenate(shapes))


# Bases and simplices


def basis(d):
    return np.eye(d, dtype=np.int8)


def hadamard(m):
    """Sylvester's matrix of order 2^m: entry (x, y) is (-1)^(x . y), the product of their bits."""
    result = np.ones((1, 1), dtype=np.int8)
    for _ in range(m):
        result = np.block([[result, result], [result, -result]])
    return result


def simplex(n):
    """n vectors in n coordinates of rank n - 1, every cosine -1 / (n - 1)."""
    return n * np.eye(n, dtype=np.int64) - 1


# Codes


def kerdock(m):
    """d^2 / 2 + d lines in d = 2^m dimensions, m even; the basis comes last."""
    field, d = BinaryField(m - 1), 1 << m
    x, e = np.arange(d) % field.size, np.arange(d) // field.size
    blocks = []
    for s in field.elements:
        sx = field.multiply(s, x)
        form = e * field.trace(sx)
        for i in range(1, m // 2):
            form = form ^ field.trace(field.power(sx, (1 << i) + 1))
        blocks.append(hadamard(m) * signs(form))
    return np.concatenate([*blocks, basis(d)])


def gold(m):
    """q^2 lines in q = 2^m dimensions, m odd, without the basis; entries +-1."""
    field = BinaryField(m)
    x = field.elements
    linear = field.trace(field.multiply(x[:, None], x))
    cubic = field.trace(field.multiply(x[:, None], field.power(x, 3)))
    return signs(linear[:, None] ^ cubic[None]).reshape(-1, field.size)


def mcfarland(m):
    """4^m equiangular lines in 2^(m-1) (2^m - 1) dimensions; entries +-1."""
    kept = hadamard(m).ravel() < 0
    return np.ascontiguousarray(hadamard(2 * m)[kept].T)


def paley(q):
    """q + 1 equiangular lines in (q + 1) / 2 dimensions, q a prime of the form 4k + 1; float64."""
    squares = np.zeros(q, dtype=int)
    squares[np.arange(1, q) ** 2 % q] = 2
    character = squares - 1
    character[0] = 0
    conference = np.ones((q + 1, q + 1))
    conference[1:, 1:] = character[np.subtract.outer(np.arange(q), np.arange(q)) % q]
    conference[0, 0] = 0
    _, vectors = np.linalg.eigh(conference)
    return np.ascontiguousarray(vectors[:, (q + 1) // 2 :])


def mutually_unbiased(p):
    """p + 1 unbiased bases of C^p, p an odd prime: all p^2 + p vectors x, then all i x, in R^2p."""
    k = np.arange(p)
    phase = (k[:, None, None] * k**2 + k[:, None] * k) % p
    bases = np.exp(2j * np.pi * phase / p).reshape(-1, p)
    lines = np.concatenate([bases / np.sqrt(p), np.eye(p)])
    return np.concatenate([np.concatenate([z.real, z.imag], axis=1) for z in (lines, 1j * lines)])
