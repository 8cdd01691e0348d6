"""Unbiased bases and sets of sequences of small correlation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from ...vectors import check_count
from ..families import primes
from .algebra import MOST_BITS, BinaryField, signs, sylvester
from .record import Frame, known

# Up to so many rows, a linear code's weights are counted.
_MOST_COUNTED, _COUNTED_AT_ONCE = 2**24, 2**20


def kerdock(m: SupportsIndex) -> Frame:
    """Return d^2/2 + d lines in d = 2^m dimensions, m even: d/2 + 1 unbiased bases.

    The rows of Sylvester's matrix times the signs of a quadratic form, for each of d/2 forms any
    two of which differ by one of full rank, and the coordinate axes: over F_2^(m-1) + F_2, with
    sx = s x, Q_s(x, e) = sum_{i=1}^{(m-2)/2} Tr((sx)^(2^i + 1)) + e Tr(sx) (Kerdock 1972;
    Calderbank, Cameron, Kantor & Seidel 1997).  Entries +-1, and 0 and 1 in the axes, which come
    last.

    Parameters
    ----------
    m : int
        Even, 4 to 14.

    Examples
    --------
    >>> kerdock(10).shape, kerdock(10).coherence
    ((525312, 1024), 0.03125)
    >>> kerdock(4).cosines
    {0.0: 1080, 0.25: 9216}
    """
    bits = check_count(m, "m", 4, MOST_BITS + 1)
    if bits % 2:
        raise ValueError(f"m: must be even, got {bits}")
    field, d = BinaryField(bits - 1), 1 << bits
    x, e = np.arange(d) % field.size, np.arange(d) // field.size
    matrix = sylvester(bits)

    def form(s: int) -> NDArray[np.int8]:
        sx = field.multiply(s, x)
        bits_of = e * field.trace(sx)
        for i in range(1, bits // 2):
            bits_of = bits_of ^ field.trace(field.power(sx, (1 << i) + 1))
        return signs(bits_of)

    def block(start: int, stop: int) -> NDArray[np.int8]:
        rows = np.zeros((stop - start, d), dtype=np.int8)
        for s in range(start // d, -(-stop // d)):
            low, high = max(start, s * d), min(stop, (s + 1) * d)
            part = rows[low - start : high - start]
            if s < field.size:
                np.multiply(matrix[low - s * d : high - s * d], form(s), out=part)
            else:
                part[np.arange(high - low), np.arange(low - s * d, high - s * d)] = 1
        return rows

    bases = d // 2 + 1
    counts = {0.0: bases * math.comb(d, 2), 2.0 ** (-bits // 2): math.comb(bases, 2) * d * d}
    return Frame(f"Kerdock {bits}", bases * d, d, 2.0 ** (-bits // 2), block, known(counts))


def gold(m: SupportsIndex) -> Frame:
    """Return q^2 lines in q = 2^m dimensions, m odd: (-1)^Tr(a x + b x^3), entries +-1.

    The coordinate axes, which may be added, are not among them (Gold 1968).  Row a q + b.

    Parameters
    ----------
    m : int
        Odd, 3 to 13.

    Examples
    --------
    >>> gold(7).shape, gold(7).cosines
    ((16384, 128), {0.0: 67624960, 0.125: 66584576})
    """
    bits = check_count(m, "m", 3, MOST_BITS)
    if bits % 2 == 0:
        raise ValueError(f"m: must be odd, got {bits}")
    return dual_bch(bits, 2)


def dual_bch(m: SupportsIndex, t: SupportsIndex) -> Frame:
    """Return q^t lines in q = 2^m dimensions: (-1)^Tr(a_1 x + a_3 x^3 + ... + a_{2t-1} x^(2t-1)).

    The words of the dual of a BCH code that corrects t errors, up to sign.  By Weil's bound |cos|
    is at most (2t - 2) / sqrt(q) (Carlitz & Uchiyama 1957); the largest there is, and the number of
    pairs with each, are known for t = 2 and m odd (`gold`), and are counted from the words where
    these are no more than 2^24.  Entries +-1; the first coefficient changes slowest.

    Parameters
    ----------
    m : int
        3 to 13.
    t : int
        At least 1, and (2t - 2)^2 < q, so that no two words are equal.

    Examples
    --------
    >>> dual_bch(7, 3).shape, dual_bch(7, 3).coherence
    ((2097152, 128), 0.25)
    """
    bits = check_count(m, "m", 3, MOST_BITS)
    order = check_count(t, "t", 1, 2**7)
    q = 1 << bits
    if (2 * order - 2) ** 2 >= q:
        raise ValueError(f"t: must have (2t - 2)^2 < 2^m = {q}, got {order}")
    field = BinaryField(bits)
    x = field.elements
    linear = signs(field.trace(field.multiply(x[:, None], x)))
    powers = [field.power(x, 2 * i + 1) for i in range(order)]

    def block(start: int, stop: int) -> NDArray[np.int8]:
        at = np.arange(start, stop)
        rows = np.ones((stop - start, q), dtype=np.int8)
        for i, power in enumerate(powers):
            rows *= linear[at // q ** (order - 1 - i) % q][:, power]
        return rows

    n = q**order
    if order == 1:
        weights = {0: q - 1}
    elif order == 2 and bits % 2:
        weights = {0: (q - 1) * (q // 2 + 1), 1 << (bits + 1) // 2: (q - 1) * q // 2}
    elif n <= _MOST_COUNTED:
        weights = _sums(block, linear, n // q)
    else:
        bound = (2 * order - 2) / math.sqrt(q)
        return Frame(f"dual BCH {bits}, {order}", n, q, bound, block, lambda: None, exact=False)
    # Every row sees the same: the rows are a group.
    counts = {size / q: n * rows // 2 for size, rows in weights.items()}
    name = f"Gold {bits}" if order == 2 and bits % 2 else f"dual BCH {bits}, {order}"
    return Frame(name, n, q, max(counts), block, known(counts))


def _sums(
    block: Callable[[int, int], NDArray[np.int8]], linear: NDArray[np.int8], others: int
) -> dict[int, int]:
    """Return how many rows other than the first have each |sum of entries|.

    `others` rows have no linear term; the sums of one of them times every linear one are its
    transform.
    """
    q = len(linear)
    kernel, totals = linear.astype(np.float32), np.zeros(q + 1, np.int64)
    step = max(1, _COUNTED_AT_ONCE // q)
    for start in range(0, others, step):
        rows = block(start, min(start + step, others)).astype(np.float32)
        sizes = np.abs(rows @ kernel).astype(np.int64)
        totals += np.bincount(sizes.ravel(), minlength=q + 1)
    totals[q] -= 1
    return {size: int(totals[size]) for size in np.flatnonzero(totals).tolist()}


def mutually_unbiased(p: SupportsIndex) -> Frame:
    """Return 2 (p^2 + p) lines in 2p dimensions from p + 1 unbiased bases of C^p, p an odd prime.

    The vectors exp(2 pi i (b k^2 + c k) / p) / sqrt(p) over k, row b p + c, and the axes of C^p
    (Ivanovic 1981; Wootters & Fields 1989), each as its real parts, then its imaginary parts; then
    all of them times i.  In C^p there are (p + 1) p (p - 1) / 2 orthogonal pairs, and in all others
    |<x, y>| is 1 / sqrt(p), which real and imaginary parts share: |cos| are the magnitudes of
    cosine and sine of 2 pi j / p over sqrt(p).  float64.

    Examples
    --------
    >>> mutually_unbiased(31).shape, sum(mutually_unbiased(31).cosines.values())
    ((1984, 62), 1967136)
    """
    prime = check_count(p, "p", 3)
    if primes(prime)[-1] != prime:
        raise ValueError(f"p: must be an odd prime, got {prime}")
    k, half = np.arange(prime), prime * (prime + 1)

    def block(start: int, stop: int) -> NDArray[np.float64]:
        at = np.arange(start, stop)
        turned, line = np.divmod(at, half)
        b, c = np.divmod(line, prime)
        phases = (b[:, None] * (k * k % prime) + c[:, None] * k) % prime
        z = np.exp(2j * np.pi / prime * phases) / math.sqrt(prime)
        z[b == prime] = np.eye(prime)[c[b == prime]]
        z *= np.where(turned == 1, 1j, 1.0)[:, None]
        return np.concatenate([z.real, z.imag], axis=1)

    root = math.sqrt(prime)
    # Of pairs of C^p that are not orthogonal, how many have each phase 2 pi j / p, up to sign and
    # a factor i; each is two pairs with its real part and two with its imaginary part.
    each = math.comb(prime, 2) * prime + (prime - 1) * prime
    real = each + prime * prime
    counts = {
        0.0: 4 * (prime + 1) * math.comb(prime, 2) + half + 2 * real,
        1.0 / root: 2 * real,
    }
    for j in range(1, prime // 2 + 1):
        angle = 2.0 * math.pi * j / prime
        counts[abs(math.cos(angle)) / root] = counts[abs(math.sin(angle)) / root] = 4 * each
    return Frame(f"unbiased bases {prime}", 2 * half, 2 * prime, 1.0 / root, block, known(counts))
