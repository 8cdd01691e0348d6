"""Frames whose cosines are known exactly: sets of lines to test, to compare with, to start from.

Each function returns a `Frame`: its rows as an array or block by block, its coherence, and how many
pairs have each |cos|.  All are tight but for the simplices' copies of Bukh and Cox.

| set | dimensions | lines | abs cos |
|---|---|---|---|
| `basis`, `hadamard` | d | d | 0 |
| `simplex` | d | d + 1 | 1/d |
| `d4`, `e6`, `e7`, `e8` | 4, 6, 7, 8 | 12, 36, 63, 120 | 0, 1/2 |
| `lines28` | 7 | 28 | 1/3 |
| `leech` | 24 | 98280 | 0, 1/4, 1/2 |
| `bukh_cox` | groups (copies - 1) + 1 | groups copies | 1 / (2 copies - 1) |
| `paley` | (q + 1) / 2 | q + 1 | 1 / sqrt(q) |
| `steiner` | v (v - 1) / 2 | v^2 | 1 / (v - 1) |
| `mcfarland` | 2^(m-1) (2^m - 1) | 4^m | 1 / (2^m - 1) |
| `kerdock`, m even | d = 2^m | d^2/2 + d | 0, 1 / sqrt(d) |
| `gold`, m odd | q = 2^m | q^2 | 0, sqrt(2/q) |
| `dual_bch` | q = 2^m | q^t | at most (2t - 2) / sqrt(q) |
| `mutually_unbiased` | 2p | 2 (p^2 + p) | at most 1 / sqrt(p) |
"""

from .codes import dual_bch, gold, kerdock, mutually_unbiased
from .equiangular import basis, bukh_cox, hadamard, mcfarland, paley, simplex, steiner
from .lattices import d4, e6, e7, e8, leech, lines28
from .record import Frame

__all__ = [
    "Frame",
    "basis",
    "bukh_cox",
    "d4",
    "dual_bch",
    "e6",
    "e7",
    "e8",
    "gold",
    "hadamard",
    "kerdock",
    "leech",
    "lines28",
    "mcfarland",
    "mutually_unbiased",
    "paley",
    "simplex",
    "steiner",
]
