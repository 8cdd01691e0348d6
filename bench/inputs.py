"""The data that is measured: random rows, and rows that leave float32 nothing to decide."""

from collections.abc import Callable, Iterator

import numpy as np


def random_vectors(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)


def signs(n: int) -> np.ndarray:
    """Sylvester's Hadamard matrix, n a power of two: orthogonal rows of +-1."""
    matrix = np.ones((1, 1))
    while len(matrix) < n:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


def reflection(n: int) -> np.ndarray:
    """A Householder reflection: rows that are orthogonal up to rounding."""
    v = np.random.default_rng(0).standard_normal(n)
    return np.eye(n) - np.outer(v, v) * (2 / (v @ v))


def mcfarland(n: int) -> np.ndarray:
    """n = 4^m rows of +-1 in 2^(m-1) (2^m - 1) dimensions, every |cos| = 1 / (2^m - 1).

    The columns of a Hadamard matrix whose numbers' high and low halves share an odd number of bits.
    """
    m = (n.bit_length() - 1) // 2
    bent = signs(2**m).ravel() < 0
    return signs(4**m)[:, bent]


def paley(n: int) -> np.ndarray:
    """q + 1 <= n rows, q a prime 1 mod 4, every |cos| = 1 / sqrt(q).

    C is the symmetric conference matrix, C^2 = q I, so (I + C / sqrt(q)) / 2 is a projection:
    its rows have its own entries as their inner products.
    """
    q = next(q for q in range(n - 1, 4, -1) if q % 4 == 1 and all(q % p for p in range(2, q)))
    residue = np.full(q, -1.0)
    residue[np.arange(1, q) ** 2 % q] = 1
    residue[0] = 0
    conference = np.ones((q + 1, q + 1))
    conference[1:, 1:] = residue[np.subtract.outer(np.arange(q), np.arange(q)) % q]
    conference[0, 0] = 0
    return (np.eye(q + 1) + conference / np.sqrt(q)) / 2


def sparse(n: int, d: int) -> np.ndarray:
    """Rows with 2 ones, no two rows equal: most cosines exactly 0, thousands exactly 1/2."""
    turn, column = np.divmod(np.arange(n), d)
    rows = np.zeros((n, d))
    rows[np.arange(n), column] = rows[np.arange(n), (column + turn + 1) % d] = 1
    return rows


def disjoint(n: int) -> np.ndarray:
    """Rows with 2 nonzeros each, no column shared: sparse, and every cosine exactly 0."""
    return np.repeat(np.eye(n), 2, axis=1) * np.random.default_rng(0).uniform(1, 2, 2 * n)


def duplicates(n: int, d: int, distinct: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((distinct, d))[rng.integers(distinct, size=n)]


def nearly_equal(n: int, d: int, noise: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal(d) * (1 + noise * rng.standard_normal((n, d)))


HARD: dict[str, Callable[[int], np.ndarray]] = {
    "orthogonal, exact": signs,
    "orthogonal, rounded": reflection,
    "equiangular, McFarland": mcfarland,
    "equiangular, Paley": paley,
    "sparse, two ones": lambda n: sparse(n, n // 4),
    "sparse, disjoint": lambda n: disjoint(n // 2),
    "64 rows, repeated": lambda n: duplicates(n, n // 4, 64),
    "one row, repeated": lambda n: duplicates(n, n // 4, 1),
    "equal to 1e-5": lambda n: nearly_equal(n, n // 4, 1e-5),
    "equal to 1e-9": lambda n: nearly_equal(n, n // 4, 1e-9),
}


def hard_inputs(n: int) -> Iterator[tuple[str, np.ndarray]]:
    """About n rows each, n a power of four: the sizes at which all the constructions exist."""
    for name, make in HARD.items():
        yield name, make(n)
