"""All there is to say about the angles of a set of vectors, from one pass over its pairs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from .bins import bin_counts, bin_thresholds
from .capacity.welch import welch_bound
from .division import divisible
from .execution import Execution
from .moments import mean_square_cosine
from .plan import Demand
from .problem import Problem, posed
from .ranking import Ranking
from .reductions import Counts, Total
from .results import ArrayRecord, Run
from .run import reduce_pairs
from .vectors import Matrix

if TYPE_CHECKING:
    from .capacity.chance import Null

_EDGES = np.linspace(0.0, 180.0, 181)
_SHARES = (0.01, 0.25, 0.5, 0.75, 0.99)
_BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, eq=False)
class AngleStatistics(ArrayRecord):
    """The angles of all pairs of vectors, beside those of random directions.

    Attributes
    ----------
    vectors, others, dimension, pairs : int
        Rows that count, of `vectors` and of `other` (the same ones without it), their entries, and
        the pairs they make.
    coherence : float
        max |cos|, exact.
    pair : (int, int)
        The pair that has it, the lowest of equals.
    nearest_cosines : ndarray of float64, shape (n,)
        Of each vector with the one nearest to it by |cos|, exact; NaN for a row left out.
    nearest_indices : ndarray of int64, shape (n,)
        Who that is; -1 for a row left out.
    histogram : ndarray of int64, shape (180,)
        Pairs of vectors in each degree of angle, exact.
    edges : ndarray of float64, shape (181,)
        0, 1, ..., 180 degrees.
    angle_quantiles : dict of float
        Angles that a share of 1, 25, 50, 75 and 99 % of all pairs is below, in degrees, from the
        histogram: evenly spread within a degree.
    mean_abs_cosine, rms_cosine : float
        Mean of |cos| and root of the mean of cos^2 over all pairs, within float32's bound.
    mean_interference : float
        Mean over the vectors of the sum of cos^2 with all others.
    frame_potential : float or None
        Sum of cos^2 over all ordered pairs, each vector with itself included; None with `other`.
    welch_bound : float or None
        No so many vectors in so many dimensions have a smaller coherence; None with `other`.
    random : dict of float
        Of independent uniform directions: ``coherence`` and ``nearest`` (medians of the largest
        |cos| of all and of a row), ``mean_abs_cosine`` and ``rms_cosine``; ``expected_coherence``
        and ``coherence_std``, mean and standard deviation of the largest.
    zscores : dict of float
        How many standard deviations of random directions above their mean these lie:
        ``coherence``, ``mean_abs_cosine``, ``mean_square_cosine``.
    run : Run
        Facts about the run, left out of comparisons.
    """

    vectors: int
    others: int
    dimension: int
    pairs: int
    coherence: float
    pair: tuple[int, int]
    nearest_cosines: NDArray[np.float64]
    nearest_indices: NDArray[np.int64]
    histogram: NDArray[np.int64]
    edges: NDArray[np.float64]
    angle_quantiles: dict[float, float]
    mean_abs_cosine: float
    rms_cosine: float
    mean_interference: float
    frame_potential: float | None
    welch_bound: float | None
    random: dict[str, float]
    zscores: dict[str, float]
    run: Run = field(default=Run(), compare=False, repr=False)

    @property
    def chance(self) -> Null:
        """What so many independent uniform directions give."""
        from .capacity import null

        return null(self.vectors, self.dimension, None if self.is_of_one else self.others)

    @property
    def is_of_one(self) -> bool:
        """Whether the pairs are those of one set of vectors, not of two."""
        return self.welch_bound is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics by name, arrays as they are, without the run."""
        return {name: getattr(self, name) for name in self.__annotations__ if name != "run"}

    def to_json(self) -> str:
        """Return the statistics as a JSON object: arrays as lists, NaN as null."""

        def plain(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return [plain(entry) for entry in value.tolist()]
            if isinstance(value, dict):
                return {f"{name:g}" if isinstance(name, float) else name: plain(entry)
                        for name, entry in value.items()}  # fmt: skip
            return None if isinstance(value, float) and math.isnan(value) else value

        return json.dumps({name: plain(value) for name, value in self.to_dict().items()})

    def __repr__(self) -> str:
        size = f"{self.vectors} x {self.dimension}"
        return f"AngleStatistics({size}, coherence={self.coherence:.9g}, pairs={self.pairs})"

    def __str__(self) -> str:
        whose = "" if self.is_of_one else f" and {self.others}"
        angle = math.degrees(math.acos(self.coherence))
        nearest = float(np.nanmedian(np.abs(self.nearest_cosines)))
        rows: list[tuple[str, float | str, float | str]] = [
            ("", "these", "random"),
            ("coherence", self.coherence, self.random["coherence"]),
            ("median of each one's nearest |cos|", nearest, self.random["nearest"]),
            ("mean |cos|", self.mean_abs_cosine, self.random["mean_abs_cosine"]),
            ("root mean square cos", self.rms_cosine, self.random["rms_cosine"]),
        ]
        if self.welch_bound is not None:
            rows.append(("Welch bound on the coherence", self.welch_bound, ""))
        quantiles = "  ".join(f"{100 * q:g} %: {a:.2f}" for q, a in self.angle_quantiles.items())
        return "\n".join(
            [
                f"{self.vectors:,}{whose} vectors in {self.dimension:,} dimensions, "
                f"{self.pairs:,} pairs",
                *(f"{name:36}{_figure(one):>12}{_figure(two):>12}" for name, one, two in rows),
                self._against_chance(),
                f"closest: {self.pair[0]} and {self.pair[1]}, {angle:.4f} degrees apart (as lines)",
                f"angles in degrees  {quantiles}",
                *_sketch(self.histogram),
            ]
        )

    def _against_chance(self) -> str:
        mean, std = self.random["expected_coherence"], self.random["coherence_std"]
        z = self.zscores
        return (
            f"random coherence {mean:.4f} +- {std:.4f}, z {z['coherence']:.3g}; z of mean |cos| "
            f"{z['mean_abs_cosine']:.3g}, of mean cos^2 {z['mean_square_cosine']:.3g}"
        )


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6f}"


def _sketch(counts: Any) -> list[str]:
    """Return a line of blocks, as high as the counts' roots, over a scale of angles."""
    heights = np.sqrt(counts.reshape(-1, 3).sum(axis=1))
    steps = np.ceil(heights / max(heights.max(), 1.0) * (len(_BLOCKS) - 1)).astype(int)
    return ["".join(_BLOCKS[step] for step in steps), f"{'0':29}{'90':28}180"]


@divisible
def describe(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> AngleStatistics:
    """Return what there is to say about the angles of all pairs, in one pass over them.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, as for `coherence`.
    other : array_like, shape (m, d), optional
        Pair every row of `vectors` with every row of `other` instead.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out.
    **execution
        How to compute (see `Execution`); with ``checkpoint`` it can be stopped and goes on, with
        ``shard`` it is one share of the pairs, for `merge`.  What is computed from squares
        (``rms_cosine``, ``mean_interference``, ``frame_potential``) is of all pairs, in every part.

    Returns
    -------
    AngleStatistics
        Prints as a table; ``to_dict()`` and ``to_json()`` for programs.  Coherence, nearest
        neighbours and histogram are exact, the means within float32's bound.

    Raises
    ------
    TypeError, ValueError
        As for `coherence`.

    Notes
    -----
    n (n - 1) d operations (with `other` 2 n m d) for the pairs and n d^2 for the squares.  Random
    directions: see `superpos_fast.capacity.null`; Welch, IEEE Trans. Inf. Theory 20 (1974).

    Examples
    --------
    >>> import superpos_fast
    >>> found = superpos_fast.describe(superpos_fast.data.example())
    >>> found
    AngleStatistics(4096 x 384, coherence=0.968293246, pairs=8386560)
    >>> found.pair, int(found.histogram[90:].sum())
    ((1930, 1969), 3804733)
    """
    with posed(vectors, other, zero, execution, _demand) as problem:
        alone = problem.plan.triangle
        ranking = Ranking(
            problem.rows,
            problem.columns,
            alone,
            k=1,
            per="both" if alone else "rows",
            magnitude=True,
        )
        # At 180 degrees is every pair, at most: the first threshold is the next one.
        thresholds = bin_thresholds(_EDGES, True)
        levels = Counts(thresholds[1:-1][::-1].copy(), magnitude=False)
        total = Total()
        if not problem.pairs:
            raise ValueError("part: must be about one pair at least, got none")
        square = problem.book.number("mean_square", lambda: mean_square_cosine(problem))
        reduce_pairs(problem, ranking, levels, total)
        reached = np.concatenate([[0], levels.reaching()[::-1], [problem.pairs]])
        cosines, indices = (part[:, 0] for part in ranking.ranked(problem.kernels))
        closest = int(np.nanargmax(np.abs(cosines)))
        counts = bin_counts(reached, True)
        coherence = float(abs(cosines[closest]))
        mean = total.value / problem.pairs
        return AngleStatistics(
            pair=(closest, int(indices[closest])),
            coherence=coherence,
            nearest_cosines=cosines,
            nearest_indices=indices,
            histogram=counts,
            edges=_EDGES.copy(),
            angle_quantiles={share: _within(counts, share) for share in _SHARES},
            mean_abs_cosine=mean,
            rms_cosine=math.sqrt(square),
            **_of_sizes(problem, coherence, mean, square),
            run=problem.facts(),
        )


def _demand(rows: int, columns: int) -> Demand:
    return Ranking.demand(1) + Counts.demand(len(_EDGES)) + Total.demand()


def _of_sizes(problem: Problem, coherence: float, mean: float, square: float) -> dict[str, Any]:
    """Return what follows from the sizes, and what the sizes make of what was measured."""
    from .capacity import null

    alone, n, m, d = (
        problem.plan.triangle, problem.rows.kept, problem.columns.kept, problem.depth,
    )  # fmt: skip
    partners = n - 1 if alone else m
    chance = null(n, d) if alone else null(n, d, m)
    largest = chance.coherence
    return {
        "vectors": n,
        "others": m,
        "dimension": d,
        "pairs": problem.pairs,
        "mean_interference": square * partners,
        "frame_potential": n + square * n * partners if alone else None,
        "welch_bound": welch_bound(n, d) if alone else None,
        "random": {
            "coherence": largest.quantile(0.5),
            "nearest": chance.row_maximum.quantile(0.5),
            "mean_abs_cosine": chance.mean_abs_cosine.mean,
            "rms_cosine": chance.rms_cosine,
            "expected_coherence": largest.mean,
            "coherence_std": largest.std,
        },
        "zscores": {
            "coherence": largest.zscore(coherence),
            "mean_abs_cosine": chance.mean_abs_cosine.zscore(mean),
            "mean_square_cosine": chance.mean_square_cosine.zscore(square),
        },
    }


def _within(counts: Any, share: float) -> float:
    """Return the angle that a share of the pairs is below, spread evenly within each bin."""
    sums = np.cumsum(counts)
    wanted = share * sums[-1]
    b = int(np.searchsorted(sums, wanted))
    before = sums[b] - counts[b]
    return float(_EDGES[b] + (wanted - before) / counts[b])
