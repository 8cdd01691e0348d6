"""The public functions: validate, plan, run, result."""

from __future__ import annotations

from typing import Literal, Unpack, overload

from .execution import Execution
from .reductions import extremum
from .results import Coherence
from .run import reduce_pairs
from .vectors import Matrix, check_flag


@overload
def coherence(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    signed: bool = False,
    return_pair: Literal[False] = False,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> float: ...


@overload
def coherence(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    signed: bool = False,
    return_pair: Literal[True],
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Coherence: ...


@overload
def coherence(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    signed: bool = False,
    return_pair: bool,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> float | Coherence: ...


def coherence(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    signed: bool = False,
    return_pair: bool = False,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> float | Coherence:
    """Return the largest |cosine| between any two vectors: the mutual coherence.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row: anything NumPy sees as a real matrix, or a CPU tensor through DLPack.
        float16, bfloat16, float32, float64 and integers up to 2^53 are read as they are, in any
        memory layout, without a copy of the whole.
    other : array_like, shape (m, d), optional
        Compare every row of `vectors` with every row of `other` instead.
    signed : bool
        Take the largest cosine instead of the largest magnitude.
    return_pair : bool
        Return a `Coherence` with the pair of rows instead of the bare number.
    zero : {"raise", "skip"}
        What to do with a row of zeros, which has no direction: refuse it, or leave it out (the
        other rows keep their indices).
    **execution
        How to compute, never what: none of these changes the answer (see `Execution`).
        ``threads``: how many, default what the process may use.  ``memory``: cap in bytes, or as
        "2GiB", on what is allocated beyond the input, default max(256 MiB, 64 bytes a row); one
        far below the input's size costs speed.  ``progress``: True for a bar, or a function of
        (pairs done, pairs in all).  ``backend``: "auto", "cpu" or "reference".

    Returns
    -------
    float or Coherence
        max over i < j (with `other`: all i, j) of |<x_i, x_j>| / (|x_i| |x_j|), between 0 and 1;
        with ``signed=True`` of the cosine itself, between -1 and 1.

    Raises
    ------
    TypeError
        For complex numbers, objects, long doubles, masked entries, or an unknown keyword.
    ValueError
        For a wrong shape, NaN or infinity, a zero row, integers beyond 2^53, or a memory cap too
        small to work in; the message names the argument, the requirement and what came.

    Notes
    -----
    The answer is exact in this sense: cosines are defined by float64 arithmetic in a fixed order
    (rows scaled by a power of two; products rounded and summed in eight lanes k mod 8, the lanes
    in a tree; dot / sqrt(q_i q_j), clipped to [-1, 1]), whose distance from the cosine of the
    given numbers is at most about (d/4 + 12) 2^-53.  Every pair is screened in float32 with a
    proven error bound, and the pairs too close to call are decided in that arithmetic.  The value
    is that of the true maximiser, of equal ones the lowest (i, j), and it does not depend on
    threads, memory, tiles or backend.  Equal rows give exactly 1.

    Takes n (n - 1) d floating-point operations (with `other` 2 n m d) at close to the processor's
    multiply-add peak, and at most ``memory`` bytes beside the input, whatever n.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.coherence([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    0.7071067811865475
    >>> found = superpos_fast.coherence([[1, 0], [0, 2], [-3, 0]], return_pair=True)
    >>> found.value, found.i, found.j, found.angle
    (1.0, 0, 2, 0.0)
    """
    reduction = extremum(check_flag(signed, "signed"))
    pair = check_flag(return_pair, "return_pair")
    best, run = reduce_pairs(vectors, other, reduction, zero, execution)
    if not pair:
        return best.value
    return Coherence(best.value, best.i, best.j, run)
