"""How one would answer otherwise: each library written as it does it best, normalisation included.

A rival answers some of four questions about all pairs of rows:

- *maximum*: the largest |cos|;
- *nearest*: each row's largest |cos| with another row;
- *pairs*: (i, j) of all pairs of |cos| at or above a threshold;
- *histogram*: how many angles lie in each of 180 bins of one degree.

Some find the largest cos, not |cos| (that would take a second search, on the negated rows): they
are `signed`, and compared with our answers to the same question.
"""

import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

QUESTIONS = ("maximum", "nearest", "pairs", "histogram")
BINS = 180
# The best of six shapes for NumPy and for torch, 16384 x 64 and x 768, 2 cores of an EPYC 7003:
# NumPy 131 and 173 GFLOP/s, in strips of 2048 rows 76 and 149; torch 123 and 169, 48 and 118.
STRIP_ROWS = 2048
TILE_ROWS, TILE_COLUMNS = 512, 2048
# Asked of paraphrase mining, which keeps so many partners a row and so many pairs in all.
MOST_PARTNERS, MOST_PAIRS = 100, 500_000


@dataclass(frozen=True)
class Asked:
    """What all are given: the rows, how many threads, and from where on a pair is close."""

    vectors: np.ndarray
    threads: int
    threshold: float


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def upper_tiles(n: int) -> Iterator[tuple[slice, slice]]:
    for i in range(0, n, TILE_ROWS):
        for j in range(i, n, TILE_COLUMNS):
            yield slice(i, i + TILE_ROWS), slice(j, j + TILE_COLUMNS)


def strips(n: int) -> Iterator[slice]:
    for i in range(0, n, TILE_ROWS):
        yield slice(i, i + TILE_ROWS)


def listed(found: list) -> np.ndarray:
    """(i, j) with i < j, of parts that may have both orders and the diagonal."""
    i, j = np.concatenate(found, axis=1)
    return np.stack([i[i < j], j[i < j]], axis=1)


def counted(angles: np.ndarray) -> np.ndarray:
    return np.histogram(angles, BINS, (0.0, 180.0))[0]


# Ours


def ours(question: str, signed: bool) -> Callable[[Asked], object]:
    def answer(asked: Asked) -> object:
        import superpos_fast

        how = {"threads": asked.threads}
        if question == "maximum":
            return superpos_fast.coherence(asked.vectors, signed=signed, **how)
        if question == "nearest":
            found = superpos_fast.nearest(asked.vectors, signed=signed, **how).cosines.ravel()
            return found if signed else abs(found)
        if question == "pairs":
            limit = 10**8
            found = superpos_fast.pairs(
                asked.vectors, cosine=asked.threshold, signed=signed, limit=limit, **how
            )
            return np.stack([found.i, found.j], axis=1)
        return superpos_fast.histogram(asked.vectors, bins=BINS, **how)[0]

    return answer


# NumPy


def numpy_tiles(x: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """The upper triangle in tiles that stay in the cache, in one buffer."""
    buffer = np.empty(TILE_ROWS * TILE_COLUMNS, x.dtype)
    for rows, columns in upper_tiles(len(x)):
        left, right = x[rows], x[columns]
        gram = buffer[: len(left) * len(right)].reshape(len(left), len(right))
        np.matmul(left, right.T, out=gram)
        yield rows, columns, gram


def numpy_maximum(asked: Asked) -> float:
    best = 0.0
    for rows, columns, gram in numpy_tiles(unit(asked.vectors)):
        if rows.start == columns.start:
            np.fill_diagonal(gram, 0)
        best = max(best, gram.max(), -gram.min())
    return best


def numpy_blocked(vectors: np.ndarray, threads: int) -> float:
    return numpy_maximum(Asked(vectors, threads, np.inf))


def numpy_strips(vectors: np.ndarray, threads: int) -> float:
    """The upper triangle in strips of 2048 rows."""
    x = unit(vectors)
    best = 0.0
    for start in range(0, len(x), STRIP_ROWS):
        gram = x[start : start + STRIP_ROWS] @ x[start:].T
        np.fill_diagonal(gram, 0)
        best = max(best, gram.max(), -gram.min())
    return best


def numpy_gram(asked: Asked) -> float:
    """What one writes first: N x N numbers in memory."""
    x = unit(asked.vectors)
    gram = x @ x.T
    np.fill_diagonal(gram, 0)
    return np.abs(gram).max()


def numpy_nearest(asked: Asked) -> np.ndarray:
    x = unit(asked.vectors)
    found = np.empty(len(x), x.dtype)
    for rows in strips(len(x)):
        gram = x[rows] @ x.T
        np.fill_diagonal(gram[:, rows.start :], 0)
        np.abs(gram, out=gram).max(axis=1, out=found[rows])
    return found


def numpy_pairs(asked: Asked) -> np.ndarray:
    found = []
    for rows, columns, gram in numpy_tiles(unit(asked.vectors)):
        i, j = np.nonzero(np.abs(gram) >= asked.threshold)
        found.append((i + rows.start, j + columns.start))
    return listed(found)


def numpy_histogram(asked: Asked) -> np.ndarray:
    counts = np.zeros(BINS, np.int64)
    for rows, columns, gram in numpy_tiles(unit(asked.vectors)):
        if rows.start == columns.start:
            gram = gram[np.triu_indices(*gram.shape[:1], 1, gram.shape[1])]
        np.clip(gram, -1, 1, out=gram)
        counts += counted(np.degrees(np.arccos(gram)))
    return counts


# torch


def torch_rows(asked: Asked):
    import torch

    torch.set_num_threads(asked.threads)
    return torch, torch.nn.functional.normalize(torch.from_numpy(asked.vectors), dim=1)


def torch_maximum(asked: Asked) -> float:
    torch, x = torch_rows(asked)
    best = 0.0
    for rows, columns in upper_tiles(len(x)):
        gram = x[rows] @ x[columns].T
        if rows.start == columns.start:
            gram.fill_diagonal_(0)
        low, high = torch.aminmax(gram)
        best = max(best, high.item(), -low.item())
    return best


def torch_nearest(asked: Asked) -> np.ndarray:
    torch, x = torch_rows(asked)
    found = torch.empty(len(x))
    for rows in strips(len(x)):
        gram = x[rows] @ x.T
        gram[:, rows.start :].fill_diagonal_(0)
        found[rows] = gram.abs_().amax(dim=1)
    return found.numpy()


def torch_pairs(asked: Asked) -> np.ndarray:
    torch, x = torch_rows(asked)
    found = []
    for rows, columns in upper_tiles(len(x)):
        close = torch.nonzero((x[rows] @ x[columns].T).abs_() >= asked.threshold).numpy()
        found.append((close[:, 0] + rows.start, close[:, 1] + columns.start))
    return listed(found)


def torch_histogram(asked: Asked) -> np.ndarray:
    torch, x = torch_rows(asked)
    counts = torch.zeros(BINS, dtype=torch.float64)
    for rows, columns in upper_tiles(len(x)):
        gram = x[rows] @ x[columns].T
        if rows.start == columns.start:
            i, j = torch.triu_indices(*gram.shape, offset=1)
            gram = gram[i, j]
        # Counts of float32 are exact up to 2^24: a tile has 2^20 angles.
        counts += torch.histc(gram.clamp_(-1, 1).acos_().rad2deg_(), BINS, 0, 180)
    return counts.numpy().astype(np.int64)


# NumKong


def numkong_strips(asked: Asked) -> Iterator[tuple[int, np.ndarray]]:
    """Its symmetric kernel fills the upper triangle of an N x N result, rows at a time."""
    import numkong

    x = unit(asked.vectors)
    n = len(x)
    gram = numkong.zeros((n, n), dtype="float64")
    starts = range(0, n, TILE_ROWS)

    def fill(start: int) -> int:
        numkong.dots_symmetric(x, out=gram, start_row=start, end_row=min(start + TILE_ROWS, n))
        return start

    with ThreadPoolExecutor(asked.threads) as pool:
        for start in pool.map(fill, starts):
            part = np.asarray(gram)[start : start + TILE_ROWS, start:]
            yield start, part


def numkong_maximum(asked: Asked) -> float:
    best = 0.0
    for _, part in numkong_strips(asked):
        upper = np.triu(part[:, : len(part)], 1), part[:, len(part) :]
        best = max(best, *(max(some.max(), -some.min()) for some in upper if some.size))
    return best


def numkong_pairs(asked: Asked) -> np.ndarray:
    found = []
    for start, part in numkong_strips(asked):
        i, j = np.nonzero(np.abs(part) >= asked.threshold)
        found.append((i + start, j + start))
    return listed(found)


def numkong_histogram(asked: Asked) -> np.ndarray:
    counts = np.zeros(BINS, np.int64)
    for _, part in numkong_strips(asked):
        square = part[:, : len(part)]
        for some in (square[np.triu_indices(len(part), 1)], part[:, len(part) :]):
            counts += counted(np.degrees(np.arccos(np.clip(some, -1, 1))))
    return counts


# faiss: inner products, of cos and not of |cos|


def faiss_index(asked: Asked):
    import faiss

    faiss.omp_set_num_threads(asked.threads)
    x = unit(asked.vectors)
    index = faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    return index, x


def faiss_nearest(asked: Asked) -> np.ndarray:
    index, x = faiss_index(asked)
    cosines, neighbours = index.search(x, 2)
    itself = neighbours[:, 0] == np.arange(len(x))
    return np.where(itself, cosines[:, 1], cosines[:, 0])


def faiss_pairs(asked: Asked) -> np.ndarray:
    index, x = faiss_index(asked)
    limits, _, j = index.range_search(x, asked.threshold)
    return listed([(np.repeat(np.arange(len(x)), np.diff(limits.astype(np.int64))), j)])


# scikit-learn


def sklearn_nearest(asked: Asked) -> np.ndarray:
    """k = 1: `kneighbors()` leaves out the row itself."""
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute", metric="cosine")
    distances, _ = nearest.fit(asked.vectors).kneighbors()
    return 1 - distances.ravel()


def sklearn_pairs(asked: Asked) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(radius=1 - asked.threshold, algorithm="brute", metric="cosine")
    partners = nearest.fit(asked.vectors).radius_neighbors(return_distance=False)
    i = np.repeat(np.arange(len(partners)), [len(part) for part in partners])
    return listed([(i, np.concatenate([*partners, np.empty(0, np.int64)]).astype(np.int64))])


def sklearn_chunks(asked: Asked, reduce: Callable) -> Iterator:
    from sklearn.metrics import pairwise_distances_chunked

    return pairwise_distances_chunked(asked.vectors, metric="cosine", reduce_func=reduce)


def sklearn_maximum(asked: Asked) -> float:
    def largest(distances, start):
        rows = np.arange(len(distances))
        distances[rows, start + rows] = 1
        return np.maximum(1 - distances.min(axis=1), distances.max(axis=1) - 1)

    return max(chunk.max() for chunk in sklearn_chunks(asked, largest))


def sklearn_histogram(asked: Asked) -> np.ndarray:
    counts = np.zeros(BINS, np.int64)

    def count(distances, start):
        for row, part in enumerate(distances, start):
            counts[:] += counted(np.degrees(np.arccos(np.clip(1 - part[row + 1 :], -1, 1))))
        return distances[:, :1]

    for _ in sklearn_chunks(asked, count):
        pass
    return counts


# Those that answer one or two of the questions


def chunkdot_nearest(asked: Asked) -> np.ndarray:
    """Two a row: one of them is the row itself."""
    from chunkdot import cosine_similarity_top_k

    found = cosine_similarity_top_k(asked.vectors, top_k=2).tolil()
    found.setdiag(0)
    return found.tocsr().max(axis=1).toarray().ravel()


def mined(asked: Asked, partners: int, most: int) -> list:
    import torch
    from sentence_transformers.util import paraphrase_mining_embeddings

    torch.set_num_threads(asked.threads)
    rows = torch.from_numpy(asked.vectors)
    return paraphrase_mining_embeddings(rows, top_k=partners, max_pairs=most)


def mined_pairs(asked: Asked) -> np.ndarray:
    found = mined(asked, MOST_PARTNERS, MOST_PAIRS)
    return np.array([(i, j) for score, i, j in found if score >= asked.threshold]).reshape(-1, 2)


def saelens_nearest(asked: Asked) -> np.ndarray:
    """Its statistics of a feature dictionary, without the quantiles, which would cost more."""
    import torch
    from sae_lens.synthetic.stats import compute_superposition_stats

    torch.set_num_threads(asked.threads)
    dictionary = types.SimpleNamespace(feature_vectors=torch.from_numpy(asked.vectors))
    return compute_superposition_stats(dictionary, percentiles=[]).max_abs_cos_sims.numpy()


@dataclass(frozen=True)
class Rival:
    """A library: the module, the package it is installed as, and what it answers."""

    module: str
    package: str
    answers: dict[str, Callable[[Asked], object]]
    signed: bool = False
    absent: str = "is not installed"


OURS, OURS_SIGNED = "superpos_fast", "superpos_fast, signed"
RIVALS = {
    OURS: Rival("superpos_fast", "superpos_fast", {name: ours(name, False) for name in QUESTIONS}),
    OURS_SIGNED: Rival(
        "superpos_fast", "superpos_fast", {name: ours(name, True) for name in QUESTIONS[:3]}, True
    ),
    "NumPy, tuned tiles": Rival(
        "numpy",
        "numpy",
        {
            "maximum": numpy_maximum,
            "nearest": numpy_nearest,
            "pairs": numpy_pairs,
            "histogram": numpy_histogram,
        },
    ),
    "NumPy, whole Gram": Rival("numpy", "numpy", {"maximum": numpy_gram}),
    "torch, tuned tiles": Rival(
        "torch",
        "torch",
        {
            "maximum": torch_maximum,
            "nearest": torch_nearest,
            "pairs": torch_pairs,
            "histogram": torch_histogram,
        },
    ),
    "faiss": Rival(
        "faiss",
        "faiss-cpu",
        {
            "maximum": lambda asked: faiss_nearest(asked).max(),
            "nearest": faiss_nearest,
            "pairs": faiss_pairs,
        },
        signed=True,
    ),
    "NumKong": Rival(
        "numkong",
        "numkong",
        {"maximum": numkong_maximum, "pairs": numkong_pairs, "histogram": numkong_histogram},
    ),
    "scikit-learn, neighbors": Rival(
        "sklearn",
        "scikit-learn",
        {
            "maximum": lambda asked: sklearn_nearest(asked).max(),
            "nearest": sklearn_nearest,
            "pairs": sklearn_pairs,
        },
        signed=True,
    ),
    "scikit-learn, chunks": Rival(
        "sklearn", "scikit-learn", {"maximum": sklearn_maximum, "histogram": sklearn_histogram}
    ),
    "sentence-transformers": Rival(
        "sentence_transformers",
        "sentence-transformers",
        {"maximum": lambda asked: mined(asked, 1, 1)[0][0], "pairs": mined_pairs},
        signed=True,
    ),
    "SAELens": Rival(
        "sae_lens",
        "sae-lens",
        {"maximum": lambda asked: saelens_nearest(asked).max(), "nearest": saelens_nearest},
    ),
    "chunkdot": Rival(
        "chunkdot",
        "chunkdot",
        {"maximum": lambda asked: chunkdot_nearest(asked).max(), "nearest": chunkdot_nearest},
        signed=True,
        absent="(0.6) needs numba < 0.58 and numpy < 2: no environment has it beside superpos_fast",
    ),
}
