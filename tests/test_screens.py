"""The int8 screen: the same answers as without it, its bounds, its instructions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from llvmlite import binding, ir

import superpos_fast as sf
from helpers import needs_compiled
from superpos_fast import plan, projection
from superpos_fast.kernels.cpu import entry, micro_amx, micro_i8, screening
from superpos_fast.screening import code_constant, code_slack, hoeffding_deviations

pytestmark = needs_compiled

needs_codes = pytest.mark.skipif(screening.coder is None, reason="this target has no int8 screen")


@pytest.fixture(params=["whole", "projected"])
def coded(request, monkeypatch):
    """Screen by codes whatever the size and the promise: of all entries, or of projections."""
    monkeypatch.setattr(entry, "CODED_WORK", 0)
    monkeypatch.setattr(plan, "_STRIPE_SHARE", 1)
    monkeypatch.setattr(projection, "_PROJECTED_WORK", 0)
    monkeypatch.setattr(projection, "_CONCENTRATED", 0.0)
    monkeypatch.setattr(projection, "_SAMPLE_SHARE", 1)
    monkeypatch.setattr(projection, "_BEYOND", 1.0)
    monkeypatch.setattr(projection, "_DIRECTIONS", (8,))
    monkeypatch.setattr(
        projection._Sample,
        "cost",
        lambda self, coding, most: 0.5 if coding.directions is None else _PREFERRED[request.param],
    )
    return request.param


_PREFERRED = {"whole": 0.9, "projected": 0.1}


def adversaries(n=400, d=37):
    rng = np.random.default_rng(5)
    base = rng.standard_normal((n, d))
    last_bit = np.tile(base[0].astype(np.float32), (n, 1))
    last_bit[np.arange(n), rng.integers(0, d, n)] *= np.float32(1.0 + 2.0**-23)
    spikes = 1e-3 * base
    spikes[np.arange(n), rng.integers(0, d, n)] = 1.0
    crowd = base[rng.integers(0, 5, n)] + 1e-5 * base
    return {
        "random": base.astype(np.float32),
        "on the grid": rng.integers(-127, 128, (n, d)),
        "signs": np.sign(base),
        "last bit": last_bit,
        "spikes": spikes,
        "crowds": crowd,
        "equal": np.ones((n, d), np.float32),
        "heavy tails": rng.standard_cauchy((n, d)) * np.exp(40 * rng.standard_normal((n, 1))),
        "few directions": base[:, :3] @ rng.standard_normal((3, d)) + 1e-3 * base,
        "one entry": base[:, :1],
        "antipodes": np.concatenate([base[: n // 2], -base[: n // 2]]),
        "zeros": base * (rng.random((n, 1)) < 0.7),
    }


QUESTIONS = {
    "coherence": lambda x, **how: sf.coherence(x, return_pair=True, zero="skip", **how),
    "signed": lambda x, **how: sf.coherence(x, return_pair=True, signed=True, zero="skip", **how),
    "nearest": lambda x, **how: sf.nearest(x, zero="skip", **how),
    "nearest 5": lambda x, **how: sf.nearest(x, k=5, signed=True, zero="skip", **how),
    "across": lambda x, **how: sf.nearest(
        x[:130], x[130:], k=2, return_both=True, zero="skip", **how
    ),
    "count": lambda x, **how: sf.count(x, cosine=[0.3, 0.7, 1.0], zero="skip", **how),
    "pairs": lambda x, **how: sf.pairs(x, cosine=0.9, limit=10**6, zero="skip", **how),
    "top": lambda x, **how: sf.pairs(x, top=50, zero="skip", **how),
    "tolerance": lambda x, **how: bool(sf.within_tolerance(x, angle=20, zero="skip", **how)),
    "babel": lambda x, **how: sf.babel(x, 3, zero="skip", **how).tolist(),
}


@needs_codes
@pytest.mark.parametrize("mode", ["auto", "deterministic"])
@pytest.mark.parametrize("name", adversaries())
def test_answers_are_those_without_codes(coded, name, mode):
    vectors = adversaries()[name]
    for question, ask in QUESTIONS.items():
        expected = ask(vectors, screen="off")
        for how in ({"threads": 2}, {"threads": 1, "memory": "1500kB"}):
            found = ask(vectors, screen=mode, **how)
            assert np.all(found == expected), question


@needs_codes
@pytest.mark.parametrize("name", sorted(set(adversaries()) - {"one entry", "zeros"}))
def test_codes_are_made_of_all_of_these(coded, name):
    for mode in ("auto", "deterministic"):
        run = sf.coherence(adversaries()[name], return_pair=True, screen=mode, zero="skip").run
        assert run.dimensions > 0


@needs_codes
def test_of_equal_rows_a_glance_is_enough(monkeypatch):
    monkeypatch.setattr(projection, "_Sample", None)
    rows = np.ones((8192, 384), np.float32)
    for ask in (sf.coherence, lambda x: sf.count(x, cosine=0.9)):
        ask(rows)
    with pytest.raises(TypeError, match="NoneType"):
        sf.coherence(np.random.default_rng(0).standard_normal(rows.shape))


@needs_codes
def test_whether_codes_pay_does_not_hang_on_the_seed():
    """As measured: `python -m bench.screens --adverse 8192 384`."""
    rng = np.random.default_rng(0)
    tails = rng.standard_cauchy((8192, 384)).astype(np.float32)
    for seed in range(4):
        for k in (1, 10):
            assert sf.nearest(tails, k=k, screen_seed=seed).run.dimensions == 384
        # Without a head start they do not pay.
        how = {"screen_seed": seed, "progress": lambda done, total: True}
        assert sf.nearest(tails, k=10, **how).run.dimensions == 0


@needs_codes
def test_codes_ran_and_say_so(coded):
    vectors = adversaries()["few directions"]
    run = sf.pairs(vectors, cosine=0.999, limit=10**6).run
    assert (run.screen, run.failure) == ("auto", projection.FAILURE)
    assert run.dimensions == {"whole": 37, "projected": 8}[coded]
    run = sf.pairs(vectors, cosine=0.999, limit=10**6, screen="deterministic").run
    assert (run.screen, run.failure) == ("deterministic", 0.0)
    assert sf.pairs(vectors, cosine=0.999, limit=10**6, screen="off").run.dimensions == 0


@needs_codes
def test_what_bounds_are_made_of_is_not_below_and_not_subnormal():
    values = np.array([0.0, 5e-324, 1e-45, 1e-38, 2.0**-126, 0.1, 1 / 3, 1.0, 1.0 + 2.0**-40])
    above = screening._float32_above(values)
    assert above.dtype == np.float32
    assert (above >= values).all()
    assert above[0] == 0.0
    assert (above[1:] >= np.finfo(np.float32).tiny).all()
    assert (above[5:] <= values[5:] * (1.0 + 2.0**-22)).all()


@needs_codes
def test_a_sample_may_hold_no_pair():
    """Of two rows that are not left out, a row and a column drawn may be the same one."""
    vectors = np.zeros((3000, 600), np.float32)
    vectors[[5, 17]] = np.random.default_rng(0).standard_normal((2, 600))
    expected = sf.coherence(vectors, return_pair=True, zero="skip", screen="off")
    for seed in range(4):
        assert sf.coherence(vectors, return_pair=True, zero="skip", screen_seed=seed) == expected


@needs_codes
def test_a_stopped_run_knows_of_the_pairs_it_has_looked_at_alone():
    """The closest pairs of a sample lie elsewhere than the first tile."""
    vectors = np.random.default_rng(3).standard_normal((4800, 512), dtype=np.float32)
    vectors[3000:] = vectors[3000] + 0.3 * vectors[3000:]
    known = []
    for screen in ("auto", "off"):
        with pytest.raises(sf.Interrupted) as stopped:
            sf.coherence(
                vectors, return_pair=True, threads=1, screen=screen, progress=lambda *pairs: False
            )
        known.append((stopped.value.part.pairs, stopped.value.part.result()))
    assert known[0] == known[1]


@needs_codes
def test_codes_settle_most_pairs_of_random_rows():
    vectors = np.random.default_rng(0).standard_normal((4096, 512), dtype=np.float32)
    found = sf.coherence(vectors, return_pair=True)
    assert found == sf.coherence(vectors, return_pair=True, screen="off")
    assert found.run.coded_pairs > 0.8 * found.run.pairs
    assert found.run.survivors < 1e-3 * found.run.pairs


@needs_codes
def test_seeds_change_nothing(monkeypatch):
    monkeypatch.setattr(projection, "_WORTHWHILE", 10.0)
    vectors = np.random.default_rng(1).standard_normal((3000, 500), dtype=np.float32)
    answers = [sf.nearest(vectors, screen_seed=seed) for seed in (0, 1, 12345678901)]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].run.dimensions == 500


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"screen": "on"}, "screen: must be one of 'auto', 'deterministic', 'off', got 'on'"),
        ({"screen_seed": -1}, "screen_seed: must be at least 0, got -1"),
    ],
)
def test_wrong_keywords(keywords, message):
    with pytest.raises(ValueError, match=message):
        sf.coherence(np.eye(3), **keywords)


# The codes themselves


PRODUCTS = {
    "vectors": micro_i8.PRODUCT,
    "tiles": micro_amx.CODES if micro_amx.tiles_allowed() else None,
}
each_product = pytest.mark.parametrize(
    "product", [name for name, product in PRODUCTS.items() if product is not None]
)


def codes_of(vectors, columns=False, stream=7, step=None, product=None):
    """Return packed codes of unit rows, and what they stand for."""
    coder = screening.coder if product is None else screening.Coder(PRODUCTS[product])
    block = np.ascontiguousarray(vectors)
    exponents, squares, _ = entry.survey(block)
    padded = math.ceil(len(block) / screening.UNIT) * screening.UNIT
    words, chunk = screening.code_words(block.shape[1], coder.product)
    room = coder.room(padded, block.shape[1])
    codes = coder.codes(room, squares, 0, block.shape[1], columns, stream)
    for start in range(0, len(block), step or len(block)):
        part = slice(start, start + (step or len(block)))
        codes.fill(block[part], exponents[part], squares[part], start)
    entries = np.zeros((padded, words), np.int32)
    for start in range(0, words, chunk):
        length = min(chunk, words - start)
        panels = room[start * padded : (start + length) * padded]
        panels = panels.reshape(padded // screening.PANEL, length, screening.PANEL)
        if coder.product is micro_amx.CODES and not columns:
            tiles = panels.reshape(len(panels), -1, micro_amx.TILE, micro_amx.TILE)
            panels = tiles.swapaxes(2, 3).reshape(panels.shape)
        entries[:, start : start + length] = panels.transpose(0, 2, 1).reshape(padded, length)
    unsigned = coder.product.unsigned == ("columns" if columns else "rows")
    offset = coder.product.offset if unsigned else 0
    stored = entries.view(np.uint8 if unsigned else np.int8).astype(np.int64) - offset
    stored = stored[: len(block), : block.shape[1]]
    return codes, stored, stored * codes.facts[0, : len(block), None]


def unit(vectors):
    wide = vectors.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


@each_product
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("stream", [None, 3])
def test_codes_are_within_a_step(columns, stream, product):
    vectors = np.random.default_rng(2).standard_normal((100, 203)).astype(np.float32)
    codes, stored, decoded = codes_of(vectors, columns, stream, product=product)
    scales, sums, lengths, errors = codes.facts[:, :100]
    steps = np.abs(decoded - unit(vectors)) / scales[:, None]
    assert steps.max() <= (0.5 if stream is None else 1.0) + 1e-4
    assert np.abs(stored).max() <= screening.coder.levels[columns]
    np.testing.assert_array_equal(sums, stored.sum(axis=1))
    np.testing.assert_allclose(lengths, np.linalg.norm(decoded, axis=1), rtol=1e-12)
    true = np.linalg.norm(decoded - unit(vectors), axis=1)
    assert (errors >= true * (1 - 1e-6)).all()
    assert (errors <= true * 1.001 + 1e-6).all()


@each_product
def test_codes_do_not_depend_on_blocks(product):
    vectors = np.random.default_rng(3).standard_normal((200, 65)).astype(np.float32)
    whole = codes_of(vectors, product=product)[1]
    by_parts = codes_of(vectors, step=screening.PANEL, product=product)[1]
    np.testing.assert_array_equal(by_parts, whole)
    assert (codes_of(vectors, stream=8, product=product)[1] != whole).any()


@needs_codes
def test_rounding_is_unbiased_and_within_hoeffdings_bound():
    """Of 40,000 draws, projections on fixed vectors exceed the bound for 1e-3 less often."""
    rng = np.random.default_rng(4)
    vector = rng.standard_normal(96).astype(np.float32)
    draws = 40_000
    _, _, decoded = codes_of(np.tile(vector, (draws, 1)))
    error = decoded - unit(vector[None])
    scale = np.abs(unit(vector[None])).max() / screening.coder.levels[0]
    deviation = np.abs(error.mean(axis=0)) / scale
    assert deviation.max() < 5 * 0.5 / math.sqrt(draws)
    factor = math.sqrt(math.log(2 / 1e-3) / 2)
    # Against single entries, where the bound is nearest to what happens, and random directions.
    against = np.concatenate([np.eye(96)[:8], unit(rng.standard_normal((8, 96)))])
    exceeded = (np.abs(error @ against.T) > factor * scale).mean(axis=0)
    assert exceeded.max() <= 1e-3 + 5 * math.sqrt(1e-3 / draws)
    # Entries of different rows are drawn apart: no two rows' errors go together.
    halves = error[: draws // 2], error[draws // 2 :]
    together = (halves[0] * halves[1]).mean(axis=0) / scale**2
    assert np.abs(together).max() < 5 * 0.25 / math.sqrt(draws // 2)


def test_the_factor_for_all_pairs():
    """2 exp(-2 f^2), twice a pair, adds up to the probability of failure."""
    pairs, failure = 5 * 10**8, 1e-12
    factor = hoeffding_deviations(pairs, failure)
    assert 2 * pairs * 2 * math.exp(-2 * factor**2) == pytest.approx(failure)


@needs_codes
@pytest.mark.parametrize("stream", [None, 11])
@pytest.mark.parametrize("name", adversaries())
def test_no_cosine_exceeds_its_bound(name, stream):
    vectors = adversaries()[name].astype(np.float64)
    vectors = vectors[np.linalg.norm(vectors, axis=1) > 0.0]
    left, _, rows = codes_of(vectors, False, stream)
    right, _, columns = codes_of(vectors, True, None if stream is None else 2**31 + stream)
    count, depth = vectors.shape
    factor = None if stream is None else hoeffding_deviations(count * count, 1e-12)
    of_row = code_slack(left.facts, 1.0 + 2.0**-20, factor)[:count]
    of_column = code_slack(right.facts, left.facts[2].max(), factor)[:count]
    off = np.abs(rows @ columns.T - unit(vectors) @ unit(vectors).T)
    beside = ~np.eye(count, dtype=bool)
    bounds = of_row[:, None] + of_column + code_constant(depth, depth)
    assert (off[beside] <= bounds[beside]).all()


@needs_codes
def test_directions_bound_cosines():
    rng = np.random.default_rng(6)
    vectors = rng.standard_normal((150, 5)) @ rng.standard_normal((5, 60))
    vectors = (vectors + 0.1 * rng.standard_normal((150, 60))).astype(np.float32)
    span, _ = np.linalg.qr(rng.standard_normal((60, 12)))
    coding = projection.Coding(None, 60, None, 0.0, 0.0, 0).along(screening, span.T)
    exponents, squares, _ = entry.survey(vectors)
    entries, residuals = coding.project(screening, (vectors, exponents, squares))
    assert entries.shape == (150, 12)
    bound = np.abs(entries.astype(np.float64) @ entries.T.astype(np.float64))
    bound += np.multiply.outer(residuals, residuals) + coding.constant
    assert (np.abs(unit(vectors) @ unit(vectors).T) <= bound).all()
    assert coding.constant < 1e-4


@pytest.mark.parametrize("count", [1, 2, 16, 48, 127])
def test_turns_are_orthonormal_and_spread_a_direction_out(count):
    turn = projection._cosines(count)
    assert np.abs(turn @ turn.T - np.eye(count)).max() < 1e-13
    assert np.abs(turn).max() <= math.sqrt(2.0 / count) + 1e-15


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("count", "depth"), [(1, 1), (47, 5), (48, 96), (48, 192), (97, 100), (97, 200), (250, 385)]
)
def test_projections_are_the_products_of_packed_rows(count, depth, dtype):
    rng = np.random.default_rng(count)
    vectors = rng.standard_normal((count, depth)).astype(dtype)
    vectors[count // 2] = 0
    exponents, squares, _ = entry.survey(vectors)
    wanted = rng.standard_normal((7, depth)).astype(np.float32)
    directions = screening.packed(wanted, np.zeros(7, np.int32), np.ones(7))
    found, sums = screening.projected(directions, vectors, exponents, squares)
    packed = screening.packed(vectors, exponents, squares)
    assert np.array_equal(found, screening.products(packed, directions))
    assert np.allclose(sums, np.square(found, dtype=np.float64).sum(axis=1), rtol=1e-13, atol=0)


# Instructions that this machine may lack: compiled, not run

TARGETS = {
    "x86.avx512.vpdpbusd.512": ("x86_64-linux-gnu", "cascadelake", "vpdpbusd"),
    "x86.avx512.pmaddubs.w.512": ("x86_64-linux-gnu", "skylake-avx512", "vpmaddubsw"),
    "x86.avx512.vpdpbusd.256": ("x86_64-linux-gnu", "alderlake", "vpdpbusd"),
    "x86.avx2.pmadd.ub.sw": ("x86_64-linux-gnu", "haswell", "vpmaddubsw"),
    "aarch64.neon.sdot.v4i32.v16i8": ("aarch64-linux-gnu", "neoverse-n1", "sdot"),
}


@pytest.mark.parametrize("product", micro_i8.PRODUCTS, ids=lambda product: product.name)
def test_products_compile_to_their_instruction(product):
    triple, processor, instruction = TARGETS[product.name]
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        target = binding.Target.from_triple(triple)
    except RuntimeError:
        pytest.skip(f"this LLVM has no target {triple}")
    word = product.kind(32)
    module = ir.Module()
    module.triple = triple
    count = micro_i8.UNROLL if product.sums_halves else 1
    function = ir.Function(module, ir.FunctionType(word, [word] * (1 + 2 * count)), "products")
    builder = ir.IRBuilder(function.append_basic_block())
    total, *words = function.args
    found = micro_i8.add_products(builder, product, total, words[:count], words[count:])
    builder.ret(found)
    machine = target.create_target_machine(cpu=processor, opt=2)
    assembly = machine.emit_assembly(binding.parse_assembly(str(module)))
    assert assembly.count(instruction) == count
    levels = product.row_levels, product.column_levels
    largest = (2 * max(levels) + 1 if not product.sums_halves else 2 * levels[0] + 1) * levels[1]
    if product.sums_halves:
        assert largest * 2 * count < 2**15


@pytest.mark.parametrize(
    ("features", "width", "name"),
    [
        (["avx512f", "avx512bw", "avx512vnni", "avx2"], 64, "x86.avx512.vpdpbusd.512"),
        (["avx512f", "avx512bw", "avx2"], 64, "x86.avx512.pmaddubs.w.512"),
        (["avx2", "avxvnni"], 32, "x86.avx512.vpdpbusd.256"),
        (["avx2"], 32, "x86.avx2.pmadd.ub.sw"),
        (["neon", "dotprod"], 16, "aarch64.neon.sdot.v4i32.v16i8"),
        (["neon"], 16, None),
        (["sse2"], 16, None),
    ],
)
def test_the_best_product_is_chosen(features, width, name):
    product = micro_i8.choose_product(features, width)
    assert (product and product.name) == name
