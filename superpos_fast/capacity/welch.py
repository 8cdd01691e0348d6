"""The Welch bound of first order, by itself: it is asked for more often than all others."""

from __future__ import annotations

import math
from typing import SupportsIndex

from ..vectors import check_count


def welch_bound(n: SupportsIndex, d: SupportsIndex) -> float:
    """Return a coherence that no `n` vectors in `d` real dimensions can stay below.

    Parameters
    ----------
    n : int
        Number of vectors, at least 2.
    d : int
        Number of dimensions, at least 1.

    Returns
    -------
    float
        sqrt((n - d) / (d (n - 1))), between 0 and 1; 0 where n <= d, as an orthonormal basis has
        room for all.

    Raises
    ------
    TypeError
        If `n` or `d` is not a whole number.
    ValueError
        If `n` is less than 2 or `d` less than 1.

    Notes
    -----
    The root mean square of the n (n - 1) / 2 cosines is at least this too.  Only an equiangular
    tight frame attains it, and none has more than d (d + 1) / 2 vectors: beyond that,
    `superpos_fast.capacity.coherence_floor` has better bounds.  Takes constant time.

    References
    ----------
    L. R. Welch, "Lower bounds on the maximum cross correlation of signals", IEEE Transactions on
    Information Theory 20 (1974) 397-399: the bound of first order.

    Examples
    --------
    >>> from superpos_fast import welch_bound
    >>> welch_bound(28, 7)  # which 28 lines of R^7 attain
    0.3333333333333333
    """
    count, depth = check_count(n, "n", 2), check_count(d, "d", 1)
    return math.sqrt(max(0, count - depth) / (depth * (count - 1)))
