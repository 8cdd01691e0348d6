"""The family's oracles against loops over single pairs in plain Python."""

import bisect
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import family_oracles as naive
import oracles
from strategies import tables

SMALL = {"rows": st.integers(3, 9), "depth": st.integers(1, 12)}


def loop(table, other=None):
    """{(i, j): cosine} of all rows that are not zero."""
    rows = oracles.widened(table).tolist()
    columns = rows if other is None else oracles.widened(other).tolist()
    return {
        (i, j): oracles.cosine(x, y)
        for i, x in enumerate(rows)
        for j, y in enumerate(columns)
        if any(x) and any(y) and (other is not None or i < j)
    }


def both_ways(found):
    return found | {(j, i): cosine for (i, j), cosine in found.items()}


@st.composite
def cases(draw):
    """A table, and another or none; some rows are zero."""
    table = naive.with_zero_rows(draw(tables(**SMALL)), draw(st.integers(0, 99)))
    other = draw(tables(rows=st.integers(1, 9), depth=st.just(table.shape[1])) | st.none())
    return table, other


@given(cases())
def test_the_pairs(case):
    angles, expected = naive.pair_cosines(*case), loop(*case)
    i, j, cosine = angles.listed()
    assert dict(zip(zip(i.tolist(), j.tolist(), strict=True), cosine.tolist(), strict=True)) == (
        expected
    )
    assert list(zip(i, j, strict=True)) == sorted(expected)
    assert np.array_equal(angles.values(signed=False), np.abs(cosine))


@given(cases(), st.booleans(), st.integers(0, 99))
def test_selections(case, signed, seed):
    angles, expected = naive.pair_cosines(*case), loop(*case)
    key = {pair: cos if signed else abs(cos) for pair, cos in expected.items()}
    order = sorted(key, key=lambda pair: (-key[pair], pair))
    for least in naive.sharp_thresholds(angles.values(signed), seed).tolist():
        kept = [(*pair, expected[pair]) for pair in order if key[pair] >= least]
        found = naive.pairs(angles, cosine=least, signed=signed)
        assert list(zip(*(part.tolist() for part in found), strict=True)) == kept
        assert naive.count(angles, cosine=least, signed=signed) == len(kept)
        inside = all(abs(cos) <= least for cos in expected.values())
        assert naive.within_tolerance(angles, cosine=least) == inside
    best = naive.pairs(angles, top=2, signed=signed)
    assert list(zip(*best[:2], strict=True)) == order[:2]


@given(cases(), st.booleans())
def test_rows(case, signed):
    table, other = case
    angles, expected = naive.pair_cosines(*case), loop(*case)
    across = expected if other is not None else both_ways(expected)
    k = angles.partners
    cosines, indices = naive.nearest(angles, k, signed)
    sums = []
    for i in range(len(table)):
        row = {j: cos for (first, j), cos in across.items() if first == i}
        key = {j: cos if signed else abs(cos) for j, cos in row.items()}
        order = sorted(row, key=lambda j: (-key[j], j))
        if not row:
            assert indices[i].tolist() == [-1] * k
            assert np.isnan(cosines[i]).all()
            continue
        assert indices[i].tolist() == order
        assert cosines[i].tolist() == [row[j] for j in order]
        sums.append([0.0])
        for cos in sorted(map(abs, row.values()), reverse=True):
            sums[-1].append(sums[-1][-1] + cos)
    assert naive.babel(angles, k).tolist() == np.max(sums, axis=0)[1:].tolist()
    if other is not None:
        best = [
            [max([-1, *(abs(c) for p, c in across.items() if p[side] == row)]) for row in range(n)]
            for side, n in enumerate(map(len, case))
        ]
        means = [np.mean([value for value in side if value >= 0]) for side in best]
        assert np.allclose(naive.mmcs(angles), means, rtol=1e-15)
        pairs = naive.mutual_nearest(angles).tolist()
        for i, j in pairs:
            assert abs(across[i, j]) == best[0][i] == best[1][j]
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs) > 0


@pytest.mark.parametrize("of", naive.FULL_RANGE)
@given(case=cases(), bins=st.integers(1, 400), seed=st.integers(0, 99))
def test_distributions(of, case, bins, seed):
    angles, expected = naive.pair_cosines(*case), loop(*case)
    lines, degrees = of in naive.OF_LINES, of in naive.OF_ANGLES
    values = [abs(cos) if lines else cos for cos in expected.values()]
    counts, edges = naive.histogram(angles, bins=bins, of=of)
    limits = [naive.angle_cosine(edge) for edge in edges] if degrees else edges.tolist()
    sign = -1 if degrees else 1
    places = [bisect.bisect([sign * limit for limit in limits], sign * cos) for cos in values]
    places = [min(place, bins) - 1 for place in places]
    assert counts.tolist() == [places.count(place) for place in range(bins)]
    assert (edges[0], edges[-1], len(edges)) == (*naive.FULL_RANGE[of], bins + 1)
    ordered = sorted(values, reverse=degrees)
    q = (np.random.default_rng(seed).integers(1, len(values) + 1, 3) - 0.5) / len(values)
    for part, found in zip(q, naive.quantile(angles, q, of), strict=True):
        cos = ordered[math.ceil(part * len(values)) - 1]
        assert found == (math.degrees(math.acos(cos)) if degrees else cos)
    for signed in (False, True):
        plain = math.fsum(cos if signed else abs(cos) for cos in expected.values()) / len(expected)
        assert naive.mean_cosine(angles, signed) == plain


within = st.sampled_from([0.0, 90.0, 180.0]) | st.floats(1, 179)
beyond = st.floats(-400, 0, exclude_max=True) | st.floats(180, 400, exclude_min=True)


@pytest.mark.parametrize("of", naive.OF_ANGLES)
@given(case=cases(), edges=st.lists(within | beyond, min_size=2, max_size=9).map(sorted))
def test_angle_edges_beyond_what_angles_reach(of, case, edges):
    """NumPy's histogram of the angles themselves, wherever no rounding decides."""
    angles = naive.pair_cosines(*case)
    values = angles.values(signed=of not in naive.OF_LINES)
    degrees = np.degrees(np.arccos(values))
    apart = np.abs(degrees[:, None] - edges)
    exact = np.isin(values, [-1, 0, 1])[:, None]
    assume(((apart > 1e-5) | (apart == 0) & exact).all())
    counts, found = naive.histogram(angles, bins=edges, of=of)
    assert counts.tolist() == np.histogram(degrees, edges)[0].tolist()
    assert found.tolist() == edges


def test_bins_of_angles_begin_at_their_edge():
    table = np.array([[1, 0], [0, 1], [1, 1], [-1, 0]])
    angles = naive.pair_cosines(table)
    edges = [0, 45, 90, 135, 180]
    cosine = 1 / math.sqrt(2)
    assert naive.histogram(angles, bins=edges)[0].sum() == 6
    assert naive.histogram(angles, bins=[60, 90, 180])[0].tolist() == [0, 4]
    assert naive.histogram(angles, bins=[0, 90], of="line_angle")[0].tolist() == [6]
    assert naive.quantile(angles, [0, 1], "angle").tolist() == [
        math.degrees(math.acos(cosine)),
        180.0,
    ]


@pytest.mark.parametrize(("angle", "cosine"), [(0, 1), (60, 0.5), (90, 0), (120, -0.5), (180, -1)])
def test_round_angles_mean_round_cosines(angle, cosine):
    for same in (angle, float(angle), np.float64(angle), np.int64(angle)):
        assert naive.angle_cosine(same) == cosine
