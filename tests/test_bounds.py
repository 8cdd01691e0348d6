"""Bounds against 80 digits, tables, exactly known cases, and each other."""

import itertools
import json
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpos_fast import welch_bound
from superpos_fast.capacity import bounds, coherence_floor, upper
from superpos_fast.capacity.families import FAMILIES, explicit, prime_powers, primes

TOLERANCES = [
    (d, angle)
    for d in (3, 7, 24, 100, 768, 4096, 12_288, 100_000)
    for angle in (30, 60, 80, 85, 88, 89, 89.9)
]
SQUARES = {d: math.degrees(math.acos(1 / math.sqrt(d))) for d in (64, 256, 4096, 65_536)}

# d, angle: log10 of the lower bound, of 1/p, of the upper bound; the upper bound's name
TABLE = {
    (100, 89): (2.0086, 0.06, 2.0086, "bukh-cox"),
    (100, 85): (2.2989, 0.41, 2.6158, "relative"),
    (100, 80): (3.6550, 1.08, 5.2641, "levenshtein"),
    (768, 85): (5.4708, 1.81, 10.2611, "levenshtein"),
    (4096, 89): (6.9239, 0.58, 6.9813, "levenshtein-2"),
    (12_288, 85): (26.820, 21.43, 88.965, "levenshtein"),
    (100_000, 85): (167.115, 167.11, 636.058, "levenshtein"),
}
# Numbers of lines that are known exactly: d, cosine
EXACT = {
    (3, 5**-0.5): 6,
    (6, 0.5): 36,
    (7, 1 / 3): 28,
    (7, 0.5): 63,
    (8, 0.5): 120,
    (22, 1 / 3): 1408,
    (22, 0.2): 176,
    (23, 1 / 3): 2300,
    (23, 0.2): 276,
    (24, 0.5): 98_280,
    (16, 0.25): 144,
    (64, 0.125): 2112,
    (4096, 1 / 64): 8_392_704,
    (100, math.cos(math.radians(89))): 102,
    (2, math.cos(math.radians(30))): 6,
    (505, 1009**-0.5): 1010,
    (12, 1 / 12): 13,
}
# n, d: what any n lines have
FLOORS = {
    (1000, 100): 0.094916,
    (10_000, 100): 0.140028,
    (50_000, 768): 0.035807,
    (10**6, 768): 0.055951,
}


# Formulas with 80 digits


def log10(x):
    return mpmath.log(x, 10)


def levenshtein(d, mu):
    """From the Gegenbauer polynomials themselves, kept in range by a common factor."""
    half = mpmath.mpf(d) / 2
    before, now, n = mpmath.mpf(1), d * mu, 1
    older = mpmath.mpf(0)
    while now > 0:
        n += 1
        older, before, now = (
            before, now, (2 * (n + half - 1) * mu * now - (n + d - 2) * before) / n,
        )  # fmt: skip
        older = older if n > 1 else mpmath.mpf(0)
    at_one = [
        mpmath.loggamma(k + d) - mpmath.loggamma(k + 1) - mpmath.loggamma(d) for k in (n, n - 2)
    ]
    ratio = mpmath.exp(at_one[1] - at_one[0])  # G_{n-2}(1) / G_n(1)
    return at_one[0] / mpmath.log(10) + log10((older - ratio * now) / (older - now))


def linear(d, mu):
    return log10(d * (1 - mu**2) / (1 - d * mu**2))


def second(d, mu):
    return log10(
        max(mpmath.mpf(d * (d + 1)) / 2, d * (d + 2) * (1 - mu**2) / (3 - (d + 2) * mu**2))
    )


def welch(d, mu, complex_):
    """The best order: they improve until they do not."""
    size, power, best, k = mpmath.mpf(1), mpmath.mpf(1), mpmath.inf, 0
    worse = 0
    while worse < 5:
        ratio = (mpmath.mpf(d + k) / (k + 1)) if complex_ else mpmath.mpf(d + 2 * k) / (2 * k + 1)
        size, power, k = size * ratio, power * mu**2, k + 1
        if size * power < 1:
            bound = (1 - power) / (1 / size - power)
            worse = worse + 1 if bound >= best else 0
            best = min(best, bound)
    return log10(best)


def few_more(d, mu, complex_):
    """d + k - 1 for the first k whose lines have more than mu."""

    def allowed(k):
        if complex_:
            spread = (1 + (k - 1) * mpmath.sqrt(k + 1)) / mpmath.mpf(k) ** 2
        else:
            spread = (2 + (k - 1) * mpmath.sqrt(k + 2)) / (k * mpmath.mpf(k + 1))
        return 1 / ((d + k) * spread - 1) <= mu

    return log10(d + sum(1 for _ in itertools.takewhile(allowed, itertools.count(1))))


def computed(name, d, mu, complex_=False):
    by_name = {bound.name: bound for bound in upper.UPPER_BOUNDS}
    return by_name[name].log_count(d, mu, complex_) / math.log(10)


@pytest.mark.parametrize(("d", "angle"), TOLERANCES)
def test_levenshtein_with_80_digits(d, angle):
    mu = math.cos(math.radians(angle))
    with mpmath.workdps(80):
        exact = levenshtein(d, mpmath.mpf(mu))
        assert abs(computed("levenshtein", d, mu) - exact) <= 1e-9 * exact


@pytest.mark.parametrize(("d", "angle"), TOLERANCES)
def test_simple_bounds_with_80_digits(d, angle):
    mu = math.cos(math.radians(angle))
    with mpmath.workdps(80):
        exact = mpmath.mpf(mu)
        found = {
            "relative": linear(d, exact) if d * exact**2 < 1 else mpmath.inf,
            "levenshtein-2": second(d, exact) if (d + 2) * exact**2 < 3 else mpmath.inf,
            "orthoplex": log10(mpmath.mpf(d) * (d + 1) / 2) if d * exact**2 < 1 else mpmath.inf,
        }
        for name, value in found.items():
            bound = computed(name, d, mu)
            assert bound == value or abs(bound - value) <= 1e-9 * value


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize(
    ("d", "angle"),
    [(3, 30), (7, 60), (100, 30), (100, 80), (100, 89), (768, 85), (4096, 60), (100_000, 89)],
)
def test_welch_with_80_digits(d, angle, complex_):
    mu = math.cos(math.radians(angle))
    with mpmath.workdps(80):
        exact = welch(d, mpmath.mpf(mu), complex_)
        assert abs(computed("welch", d, mu, complex_) - exact) <= 1e-9 * exact


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize(
    ("d", "angle"), [(10, 84), (100, 89), (100, 89.3), (4096, 89.9), (50_000, 89.99)]
)
def test_bukh_cox_with_80_digits(d, angle, complex_):
    mu = math.cos(math.radians(angle))
    with mpmath.workdps(80):
        exact = few_more(d, mpmath.mpf(mu), complex_)
        assert abs(computed("bukh-cox", d, mu, complex_) - exact) <= 1e-12 * exact


@pytest.mark.parametrize("d", [4, 25, 100])
def test_complex_bounds(d):
    """The complex forms of order 2, where each applies."""
    mu = 1 / math.sqrt(d + 0.5)
    assert computed("orthoplex", d, mu, True) == pytest.approx(2 * math.log10(d))
    mu = 1.05 / math.sqrt(d)
    exact = d * (d + 1) * (1 - mu**2) / (2 - (d + 1) * mu**2)
    assert computed("levenshtein-2", d, mu, True) == pytest.approx(math.log10(exact))
    assert computed("levenshtein", d, mu, True) == computed("plane", 2, mu, True) == math.inf
    found = bounds(d, cosine=mu, complex=True)
    p = (1 - mu**2) ** (d - 1)
    assert found.lowers["greedy"] == pytest.approx(-math.log10(p))
    assert found.log10_upper <= math.log10(exact) + 1e-9


def test_complex_bases_are_optimal():
    """p + 1 unbiased bases of C^p attain Levenshtein's bound."""
    for p in (3, 5, 31, 101):
        found = bounds(p, cosine=p**-0.5, complex=True)
        assert found.exact
        assert found.upper == p * p + p


@given(st.integers(2, 60), st.integers(1, 12))
def test_levenshtein_orders(d, n):
    """The order changes at the largest zeros of the polynomials, where both orders agree."""
    from scipy.special import roots_gegenbauer

    zero = float(roots_gegenbauer(n, d / 2)[0][-1])
    beside = [computed("levenshtein", d, zero + step) for step in (-1e-9, 1e-9) if zero + step > 0]
    assert beside == pytest.approx([beside[0]] * len(beside), rel=1e-5)
    if n > 1:
        exact = math.log10(math.comb(n + d - 1, n) + math.comb(n + d - 2, n - 1))
        # At z_n the bound is G_n(1) + G_{n-1}(1) ... of lines: of the polynomials' ratio there.
        assert beside[0] <= exact


# The table and exactly known cases


@pytest.mark.parametrize(("d", "angle"), TABLE)
def test_table(d, angle):
    lower, greedy, most, name = TABLE[d, angle]
    found = bounds(d, angle=angle)
    digits = 4 if lower < 10 else 3
    assert round(found.log10_lower, digits) == lower
    assert round(found.lowers["greedy"], 2) == greedy
    assert round(found.log10_upper, digits) == most
    assert found.upper_name == name
    assert found.uppers[name] == pytest.approx(found.log10_upper, rel=1e-9)


def test_what_the_table_names():
    assert bounds(100, angle=85).lower == 199
    assert bounds(100, angle=85).upper == 412
    assert bounds(100, angle=80).lower == 4519
    assert bounds(768, angle=85).lower == 295_680
    assert bounds(4096, angle=89).lower == 8_392_704
    assert "F_6143" in bounds(12_288, angle=85).lower_name
    assert bounds(100_000, angle=85).lower_name == "greedy"


@pytest.mark.parametrize(("d", "cosine"), EXACT)
def test_exactly_known(d, cosine):
    found = bounds(d, cosine=cosine)
    assert found.exact
    assert (found.lower, found.upper) == (EXACT[d, cosine],) * 2
    assert found.log10_lower == found.log10_upper or found.log10_upper < found.log10_lower + 1e-9
    assert f"exactly {EXACT[d, cosine]:,} lines fit" in str(found)
    tighter = bounds(d, cosine=cosine * (1 - 1e-9))
    assert tighter.lower < EXACT[d, cosine] or d == 100


def test_simple_cases():
    assert bounds(1, angle=45).upper == bounds(1, angle=45).lower == 1
    right = bounds(77, angle=90)
    assert (right.lower, right.upper, right.exact) == (77, 77, True)
    for angle in range(1, 90):
        assert bounds(2, angle=angle).upper == bounds(2, angle=angle).lower == 180 // angle


# All together


GRID_D = sorted(
    {*range(2, 26), *np.geomspace(26, 100_000, 26).astype(int).tolist(), 64, 256, 1024, 65_536}
)
GRID_ANGLES = sorted(
    {
        *np.linspace(30, 89.9, 19).tolist(),
        45.0,
        60.0,
        *(math.degrees(math.acos(2.0**-k)) for k in (2, 3, 5, 8)),
    }
)


@pytest.fixture(scope="module")
def grid():
    return bounds(np.array(GRID_D)[:, None], angle=np.array(GRID_ANGLES))


def test_lower_never_exceeds_upper(grid):
    assert grid.d.shape == (len(GRID_D), len(GRID_ANGLES))
    assert (grid.log10_lower <= grid.log10_upper).all()
    for one in grid.records.flat:
        least = min(one.uppers.values())
        assert all(value <= least + 1e-9 for value in one.lowers.values())
        assert (one.upper is None) == (one.log10_upper >= math.log10(2**53) - 1e-12)
        if one.upper is not None:
            assert one.lower <= one.upper
            assert isinstance(one.lower, int)
            assert isinstance(one.upper, int)


def test_monotone(grid):
    """More dimensions and wider tolerances never hold fewer."""
    for values in (grid.log10_upper, grid.log10_lower):
        assert (np.diff(values, axis=0) >= 0).all()
        assert (np.diff(values, axis=1) <= 0).all()


def test_random_promises_less_than_greedy(grid):
    for one in grid.records.flat:
        greedy = one.lowers["greedy"]
        assert one.lowers["johnson-lindenstrauss"] <= greedy
        assert one.lowers["expurgated"] == pytest.approx(max(0, greedy - math.log10(2)), abs=1e-9)
        if 0 < greedy < 28:
            p, n = 10.0**-greedy, round(10.0 ** one.lowers["random set"])
            assert n * (n - 1) / 2 * p <= 1 + 1e-9
            assert n * (n + 1) / 2 * p > 1 - 1e-9
        elif greedy:
            assert one.lowers["random set"] == pytest.approx((greedy + math.log10(2)) / 2)


def test_no_asymptotic_exponent_is_a_bound(grid):
    """Kabatiansky and Levenshtein's exponent is below what finite dimensions allow."""
    sine = math.sin(math.radians(85))
    t = (1 - sine) / (2 * sine)
    exponent = ((1 + t) * math.log(1 + t) - t * math.log(t)) / math.log(10)
    for d in (768, 12_288):
        found = bounds(d, angle=85)
        assert min(found.uppers.values()) > d * exponent
    names = {name for one in grid.records.flat for name in (*one.uppers, *one.lowers)}
    assert not any("kabat" in name.lower() for name in names)


def test_a_table_is_its_cells():
    table = bounds([100, 768], angle=[[80.0], [85.0]])
    assert table.d.tolist() == [[100, 768], [100, 768]]
    assert table.records[1, 0] == bounds(100, angle=85)
    assert table.log10_upper[1, 1] == bounds(768, angle=85).log10_upper
    assert table.lower_name[0, 0] == bounds(100, angle=80).lower_name
    assert table == bounds([100, 768], angle=[[80.0], [85.0]])
    json.dumps(table.records[0, 0].lowers)


# Explicit families


def test_primes():
    assert primes(30).tolist() == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    assert prime_powers(32).tolist() == [
        2, 3, 4, 5, 7, 8, 9, 11, 13, 16, 17, 19, 23, 25, 27, 29, 31, 32,
    ]  # fmt: skip
    assert len(primes(100_000)) == 9592
    assert len(primes(1)) == len(prime_powers(1)) == 0


@given(st.integers(2, 400), st.floats(0.01, 0.9))
def test_the_best_two(d, mu):
    """By trying all pairs of sets."""
    sets = [(0, 0)]
    for family in FAMILIES:
        members = family.members(d, mu, False)
        for at, dims in enumerate(members.dims.tolist()):
            count = members.count(at)
            assert dims <= d
            assert math.log(count) == pytest.approx(members.log_counts[at], rel=1e-12)
            assert members.label(at)
            sets.append((dims, count - dims))
    front, most = [], -1
    for dims, excess in sorted(sets, key=lambda one: (one[0], -one[1])):
        if excess > most:
            front.append((dims, excess))
            most = excess
    best = max(a + b for (i, a), (j, b) in itertools.product(front, front) if i + j <= d)
    found = explicit(d, mu)[0].count
    assert found == d + best or (best > 2**51 and found == pytest.approx(best, rel=1e-12))


# Floors


@pytest.mark.parametrize(("n", "d"), FLOORS)
def test_table_of_floors(n, d):
    assert round(coherence_floor(n, d).cosine, 6) == FLOORS[n, d]


def test_the_floor_of_ten_thousand_lines():
    floor = coherence_floor(10_000, 100)
    assert round(floor.angle, 2) == 81.95
    assert str(floor) == "some |cos| >= 0.140028 (81.95 degrees), levenshtein-2"


@pytest.mark.parametrize(("d", "cosine"), EXACT)
def test_floors_of_exactly_known_sets(d, cosine):
    n = EXACT[d, cosine]
    floor = coherence_floor(n, d).cosine
    assert floor <= cosine * (1 + 1e-12)
    if d not in (100, 2):
        assert floor == pytest.approx(cosine, rel=1e-11)
    assert coherence_floor(n + 1, d).cosine > cosine


@given(st.integers(2, 300), st.integers(1, 12), st.booleans())
def test_floors_are_inverse_bounds(d, digits, complex_):
    """At the floor of n lines at least n are allowed, a little below it fewer."""
    n = d + 10**digits // 7 + 1
    floor = coherence_floor(n, d, complex=complex_).cosine
    assert 0 < floor < 1
    if floor * 1.01 < math.cos(math.radians(1)):
        above = bounds(d, cosine=floor * (1 + 1e-9), complex=complex_)
        assert above.log10_upper >= math.log10(n) - 1e-9
        below = bounds(d, cosine=floor * (1 - 1e-9), complex=complex_)
        assert below.log10_upper < math.log10(n)


@given(st.integers(2, 10**5), st.integers(1, 2000))
def test_floors_rise(n, d):
    one, two = coherence_floor(n, d), coherence_floor(n + 1, d)
    assert one.cosine <= two.cosine * (1 + 1e-12)
    assert one.cosine >= welch_bound(n, d) * (1 - 1e-12)
    assert one.cosine == max(one.floors.values())


def test_floors_of_very_many():
    """As many as the bound allows at 85 degrees, and 10^5000."""
    count = math.floor(10 ** bounds(100, angle=80).log10_upper)
    assert coherence_floor(count, 100).angle == pytest.approx(80, abs=1e-4)
    assert 0.9 < coherence_floor(10**5000, 1000).cosine < 1.0
    assert coherence_floor(7, 7).cosine == 0.0
    assert coherence_floor(2, 1).cosine == 1.0


@given(st.integers(2, 10**6), st.integers(1, 10**4))
def test_welch_bound(n, d):
    """The excess of the squared cosines' sum over its least, n^2 / d, is 0 at the bound."""
    bound = welch_bound(n, d)
    if n <= d:
        assert bound == 0.0
    else:
        assert n + n * (n - 1) * bound**2 == pytest.approx(n * n / d, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: welch_bound(1, 3), ValueError, "n: must be at least 2, got 1"),
        (lambda: welch_bound(3, 0), ValueError, "d: must be at least 1, got 0"),
        (lambda: welch_bound(3.0, 2), TypeError, "n: must be a whole number, got 3.0"),
        (lambda: welch_bound(3, True), TypeError, "d: must be a whole number, got True"),
        (lambda: coherence_floor(1, 3), ValueError, "n: must be at least 2, got 1"),
        (
            lambda: coherence_floor(5, 10**7),
            ValueError,
            "d: must be between 1 and 1000000, got 10000000",
        ),
        (lambda: bounds(0, angle=80), ValueError, "d: must be between 1 and 1000000, got 0"),
        (lambda: bounds(2.5, angle=80), TypeError, "d: must be a whole number, got 2.5"),
        (lambda: bounds([2.5, 3], angle=80), TypeError, "d: must be a whole number, got 2.5"),
        (
            lambda: bounds(5),
            ValueError,
            "cosine, angle: must be given one or the other, got neither",
        ),
        (lambda: bounds(5, angle=91), ValueError, "angle: must be between 0 and 90, got 91"),
        (lambda: bounds(5, angle=0.5), ValueError, "angle: must be at least 1, got 0.5"),
        (lambda: bounds(5, cosine=1), ValueError, "cosine: must be at most cos(1 deg), got 1"),
        (
            lambda: bounds(5, angle=80, complex=1),
            TypeError,
            "complex: must be True or False, got 1",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error) as refusal:
        call()
    assert str(refusal.value) == message
