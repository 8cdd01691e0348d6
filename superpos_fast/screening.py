"""Error bounds of the screens: how far a fast dot product may lie from the deciding cosine."""

from __future__ import annotations

import math
from typing import Any

from .kernels.records import DIGIT_DEPTHS

UNIT_ROUNDOFF_32 = 2.0**-24
UNIT_ROUNDOFF_64 = 2.0**-53


def float32_bound(depth: int, chain: int, roundings: float = math.inf) -> float:
    """Bound |fl32(<u, v>) - c(x, y)| for packed unit rows u, v and the deciding cosine c.

    Parameters
    ----------
    depth : int
        Entries in a row.
    chain : int
        Largest number of roundings that one product goes through (its own and the additions').
    roundings : float
        sqrt(R(u) R(v)) at most, with R(u) = sum_k r_k u_k^2 and r_k the number of roundings that
        product k goes through, if that is known.

    Returns
    -------
    float
        The sum of four parts, rounded up:

        - accumulation, gamma_m |u| |v| with gamma_m = m u32 / (1 - m u32) (Higham, *Accuracy and
          Stability of Numerical Algorithms*, 2nd ed., section 3.1) and |u|, |v| <= 1 + 2^-22; each
          product by itself contributes |u_k v_k| r_k u32 / (1 - m u32) at most, and Cauchy and
          Schwarz bound the sum of these by sqrt(R(u) R(v)) u32 / (1 - m u32);
        - the unit rows' own rounding to float32, u32 each, times the other's length;
        - underflow: a product, or an entry of a unit row, below the normal numbers loses at most
          2^-150, which d of them keep far below d 2^-126;
        - float64: the deciding cosine's distance from the real one (`decision_bound`), and once
          more as much for the unit rows, whose squares, root, reciprocal and product before the
          rounding to float32 are off by less: (d/8 + 9) 2^-53 for the two together.
    """
    gamma = min(chain, roundings) * UNIT_ROUNDOFF_32 / (1.0 - chain * UNIT_ROUNDOFF_32)
    accumulation = gamma * (1.0 + 2.0**-22) ** 2
    rounding = 2.0 * UNIT_ROUNDOFF_32 * (1.0 + 2.0**-20)
    underflow = depth * 2.0**-126
    return (accumulation + rounding + underflow + 2.0 * decision_bound(depth)) * (1.0 + 2.0**-20)


def digit_bound(
    depth: int, roundings: float, left: tuple[float, ...], right: tuple[float, ...]
) -> float:
    """Bound |v - c(x, y)| for products v of unit rows in three digits and the deciding cosine c.

    Parameters
    ----------
    depth : int
        Entries in a row.
    roundings : float
        How many roundings all of a product goes through.
    left, right : (float, float, float)
        Of either side's rows the largest length r of what a row lacks, the largest length l of last
        digits, and the largest scale s.

    Returns
    -------
    float
        With x^ = D1 + D2 + D3 the row in digits and R = D2 + D3, the sum, rounded up, of

        - what x^ and y^ lack: r + r' + r r', and for the computing of r itself 2^-45 s sqrt(d);
        - the products of two last digits, which are left out: l l';
        - roundings: sums of digits' products are exact, and all by their weights at most
          (1 + r)(1 + r') + l l'; those but of first digits, five times rounded (three are turned to
          float32, and added up), are m' (1 + r + m) + m (1 + r' + m') + m m' at most, with
          |R| <= m = 129/256 s sqrt(d);
        - float64: the deciding cosine's distance from the real one, and as much for the unit rows
          (see `float32_bound`).
    """
    root = math.sqrt(depth)
    (r, last, scale), (r2, last2, scale2) = left, right
    m, m2 = (129.0 / 256.0 * s * root for s in (scale, scale2))
    r, r2 = r + scale * root * 2.0**-45, r2 + scale2 * root * 2.0**-45
    behind = m2 * (1.0 + r + m) + m * (1.0 + r2 + m2) + m * m2
    whole = (1.0 + r) * (1.0 + r2) + last * last2
    rounding = (roundings * whole + 5.0 * behind) * UNIT_ROUNDOFF_32
    parts = r + r2 + r * r2 + last * last2 + rounding + 2.0 * decision_bound(depth)
    return parts * (1.0 + 2.0**-18)


def product_bound(depth: int, chain: int) -> float:
    """Bound |v - c(x, y)| for products v of any rows, in float32 or in digits."""
    if depth not in DIGIT_DEPTHS or not chain:
        return float32_bound(depth, chain)
    scale = 1.0 / 127.0
    root = math.sqrt(depth)
    worst = 0.5 * scale * root * 2.0**-16, 128.0 * scale * root * 2.0**-16, scale
    return max(float32_bound(depth, chain), digit_bound(depth, 3.0 + depth / 512.0, worst, worst))


def decision_bound(depth: int) -> float:
    """Bound the distance of the deciding cosine from the cosine of the given numbers.

    A product passes through at most m = ceil(d/8) + 4 roundings, so the dot product is off by
    gamma_m |x| |y| and each square by gamma_m of itself, half of which reaches the quotient; the
    product of squares, its root and the quotient add 3 roundings.  The fourth 2^-53, and the
    rounding of m upwards, cover the second-order terms for every d below 2^29.  Entries dropped or
    products lost below 2^-1022 of a row's largest entry change less than d 2^-1020.
    """
    roundings = (depth + 7) // 8 + 4
    gamma = roundings * UNIT_ROUNDOFF_64 / (1.0 - roundings * UNIT_ROUNDOFF_64)
    return 2.0 * gamma + 4.0 * UNIT_ROUNDOFF_64 + depth * 2.0**-1020


def hoeffding_deviations(pairs: int, failure: float) -> float:
    """Return the factor f for which no projection of any pair's rounding exceeds f steps.

    Codes s q of a row x, rounded at random with step s, are off by e with mean 0 and entries within
    an interval of s each, independently.  For a fixed v, P(|<e, v>| > f s |v|) <= 2 exp(-2 f^2)
    (Hoeffding 1963, *Probability inequalities for sums of bounded random variables*, theorem 2).  A
    pair needs two such events not to happen: <a, b> - <x, y> = <e, y> + <a, e'>, where a = x + e
    and b = y + e' are coded from different draws, so that a is fixed for e'.
    """
    return math.sqrt(math.log(2.0 * 2.0 * pairs / failure) / 2.0)


def code_slack(facts: Any, longest: float, deviations: float | None) -> Any:
    """Bound, for each row, |<e, v>| for all v that are no longer than `longest`.

    `facts` are the kernels' of a row's codes; without `deviations` codes are rounded to nearest,
    and lengths of errors bound it for certain (Cauchy and Schwarz).
    """
    steps, errors = facts[0], facts[3]
    return longest * (errors if deviations is None else deviations * steps)


def code_constant(depth: int, dimensions: int) -> float:
    """Bound what else sets the bound from codes apart from the deciding cosine.

    The rounding of unit rows to float32, of entries times their factor to float32 and then to fixed
    point (2^-23 of a step, of which an entry is 31 or more), each on either side; the entries that
    are too short for codes; the bound's own six float32 operations; and twice `decision_bound`.
    """
    entries = 2.0 * (2.0 * UNIT_ROUNDOFF_32 + math.sqrt(dimensions) * 2.0**-23 / 31.0)
    short = math.sqrt(dimensions) * 2.0**-59
    operations = 8.0 * UNIT_ROUNDOFF_32
    return (entries + short + 2.0 * operations + 2.0 * decision_bound(depth)) * (1.0 + 2.0**-10)


def half_constant(depth: int) -> float:
    """Bound what else sets a product of float16 unit rows apart from the deciding cosine.

    A device multiplies float16 numbers exactly and adds them up in float32 or a little less: its
    tensor cores align a few products at a time and truncate them (Fasi, Higham, Mikaitis & Pranesh
    2021, *Numerical behavior of NVIDIA tensor cores*).  d 2^-22 |x| |y| covers every order and
    every block size that has been published, of which the sums' own roundings are d 2^-24.  It is a
    model of the machine, not a theorem, and `screen="deterministic"` does without.  Besides: what
    is lost where a stored product is subnormal, and twice `decision_bound`.
    """
    accumulation = (depth + 32) * 2.0**-22 * (1.0 + 2.0**-8)
    return (accumulation + 2.0**-30 + 2.0 * decision_bound(depth)) * (1.0 + 2.0**-10)
