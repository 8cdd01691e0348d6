"""Every public function on emulated devices: the CPU's answers, to the bit where decided."""

import inspect
import re

import ml_dtypes
import numpy as np
import pytest

import fake_cupy
import superpos_fast as sf
from driver import Exporter, counted_bytes, emulated_devices, on_device, small_tiles
from strategies import ELEMENT_TYPES, in_type, without_zero_rows
from superpos_fast import comparisons, selftest
from superpos_fast.comparisons import same
from superpos_fast.kernels import reference
from superpos_fast.kernels.cuda import deciding, entry, loader, rates
from superpos_fast.screening import half_constant
from superpos_fast.second_moment import moment_bound

TABLES = comparisons.tables()
# Names without the execution keywords: records, numbers, rows on demand, and what joins parts.
COMPUTE_NOTHING = {
    "AngleStatistics", "BasisAlignment", "Certificate", "Checkpoint", "Coherence", "Estimate",
    "Execution", "Interrupted", "Match", "Nearest", "Neurons", "Overlap", "Pairs", "Part", "Report",
    "Run", "Tolerance", "capacity", "data", "merge", "plot", "random_rows", "rows", "sae",
    "welch_bound",
}  # fmt: skip
# What asks the others, and what is for the host alone: both have tests of their own below.
APART = {"match", "report"}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("asked", comparisons.questions())
def test_decided_answers_are_the_cpus(devices, asked, name):
    ask = comparisons.questions()[asked]
    assert same(*(ask(TABLES[name], backend=backend) for backend in ("cpu", "cuda")))


def test_every_public_function_is_asked(devices):
    """All of them run on devices: a new one is missing here until something asks it."""
    asked = set()
    for name in set(sf.__all__) - COMPUTE_NOTHING - APART:
        assert "execution" in inspect.signature(getattr(sf, name)).parameters

        def note(*_, _name=name, **__):
            asked.add(_name)
            raise TimeoutError

        devices.setattr(sf, name, note)
    list(comparisons.checks({"backend": "cuda"}))
    assert asked == set(sf.__all__) - COMPUTE_NOTHING - APART


def test_reports_say_the_same(devices):
    figures = [sf.report(TABLES["crowd"], backend=backend) for backend in ("cpu", "cuda")]
    assert same(*(found.findings.statistics.coherence for found in figures))


def test_matching_is_for_the_host(devices):
    with pytest.raises(ValueError, match="^backend: must be one of .*, got 'cuda'$"):
        sf.match(TABLES["crowd"], TABLES["crowd"], backend="cuda")


def test_what_was_asked_ran_on_devices(devices):
    x = np.random.default_rng(2).standard_normal((500, 45))
    run = sf.coherence(x, return_pair=True, backend="cuda").run
    assert (run.backend, run.screen, run.dimensions, run.failure) == ("cuda", "auto", 45, 0.0)
    assert run.coded_pairs > run.pairs / 2
    assert run.open_pairs == 0
    # All pairs are within the float32 bound of the threshold.
    how = dict(cosine=1.0 - 1e-12, limit=10**6)
    found = sf.pairs(TABLES["crowd"], backend="cuda", **how)
    assert found == sf.pairs(TABLES["crowd"], **how)
    assert found.run.open_pairs > found.run.pairs / 2


@pytest.mark.parametrize("screen", ["deterministic", "off"])
def test_screens_without_a_model_are_float32(devices, screen):
    x = TABLES["random"]
    found = sf.nearest(x, k=3, backend="cuda", zero="skip", screen=screen)
    assert found == sf.nearest(x, k=3, zero="skip")
    assert (found.run.screen, found.run.coded_pairs) == ("off", 0)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(40, 200), (300, 290)])
def test_sums_of_long_rows_are_within_their_bounds(devices, precision, shape):
    """By the products of few rows, and by sums in strips; `comparisons.checks` has short rows."""
    x, bound = np.random.default_rng(1).standard_normal(shape), moment_bound(*shape, precision)
    for name, terms in {"frame_potential": 2 * shape[0] ** 2, "interference": shape[0]}.items():
        found = getattr(sf, name)(x, backend="cuda", precision=precision)
        expected = getattr(sf, name)(x, precision="float64")
        np.testing.assert_allclose(found, expected, rtol=0, atol=terms * bound)


def test_mean_of_signed_cosines(devices):
    signed = dict(signed=True, zero="skip")
    assert sf.mean_cosine(TABLES["random"], backend="cuda", **signed) == pytest.approx(
        sf.mean_cosine(TABLES["random"], **signed), abs=1e-13
    )


@pytest.mark.parametrize("dtype", ELEMENT_TYPES, ids=str)
def test_every_element_type(devices, dtype):
    rng = np.random.default_rng(3)
    x = without_zero_rows(in_type(rng.standard_normal((70, 13)), dtype, 2**53), rng)
    expected = sf.nearest(x, k=2)
    assert sf.nearest(x, k=2, backend="cuda") == expected
    # The same where rows are brought in blocks, in another layout and byte order.
    devices.setattr(entry, "_KNOWN_BYTES", 2**60)
    assert sf.nearest(np.asfortranarray(x), k=2, backend="cuda") == expected


# Matrices on devices


def test_vectors_on_a_device_are_answered_there(devices):
    x = TABLES["random"]
    there = on_device(x)
    found = sf.nearest(there, k=2, zero="skip")
    assert found.run.backend == "cuda"
    assert isinstance(found.cosines, fake_cupy.ndarray)
    assert isinstance(found.indices, fake_cupy.ndarray)
    assert found == sf.nearest(x, k=2, zero="skip")
    assert "vectors=333" in repr(found)
    assert isinstance(sf.coherence(there, zero="skip"), float)
    for values in (
        sf.count(there, cosine=[0.1, 0.2], zero="skip"),
        *sf.histogram(there, zero="skip", bins=4),
        sf.interference(there, zero="skip"),
        sf.pairs(there, top=3, zero="skip").cosine,
    ):
        assert isinstance(values, fake_cupy.ndarray)


def test_any_layout_on_a_device(devices):
    x = np.random.default_rng(5).standard_normal((90, 20)).astype(np.float32)
    host = np.zeros((181, 24), np.float32)
    host[1::2, 2:22] = x
    expected = sf.nearest(x, k=2)
    for there in (
        Exporter(x),
        on_device(host)[1::2, 2:22],
        on_device(np.asfortranarray(x)),
        on_device(x[::-1])[::-1],
    ):
        assert sf.nearest(there, k=2) == expected
    assert sf.mmcs(on_device(x[:30]), x[30:]) == sf.mmcs(x[:30], x[30:])
    assert sf.estimate(on_device(x), of="count", angle=60, rows=20) == sf.estimate(
        x, of="count", angle=60, rows=20
    )
    holes = x.copy()
    holes[::7] = 0
    how = dict(of="row_maximum", rows=20, zero="skip")
    for number in 0, 1:
        assert sf.estimate(on_device(holes, number), **how) == sf.estimate(holes, **how)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int64", "bool"])
def test_any_type_on_a_device(devices, dtype):
    rng = np.random.default_rng(6)
    x = without_zero_rows(in_type(rng.standard_normal((60, 11)), np.dtype(dtype), 100), rng)
    assert sf.nearest(on_device(x), k=2) == sf.nearest(x, k=2)


def test_several_devices(devices):
    x = TABLES["random"]
    for there in x, on_device(x, 1):
        found = sf.nearest(there, k=3, devices=[0, 1], zero="skip")
        assert found == sf.nearest(x, k=3, zero="skip")
        assert found.run.threads == 4
    assert sf.coherence(x, devices=1, zero="skip") == sf.coherence(x, zero="skip")
    counts = sf.histogram(x, devices=(1, 0), zero="skip")
    assert same(counts, sf.histogram(x, zero="skip"))


def test_the_callers_device_and_stream_are_given_back(devices):
    with fake_cupy.cuda.Device(1):
        stream = fake_cupy.cuda.Stream()
        with stream:
            sf.coherence(TABLES["ties"], zero="skip", devices=[0, 1])
            assert fake_cupy.cuda.get_current_stream() is stream
            assert fake_cupy.cuda.runtime.getDevice() == 1
            assert entry.module_on(None).device.number == 1
            with pytest.raises(ValueError, match="zero"):
                sf.coherence(TABLES["ties"], backend="cuda")
            assert fake_cupy.cuda.get_current_stream() is stream
    assert fake_cupy.cuda.runtime.getDevice() == 0
    assert entry.module_on(None).device.number == 0


def test_streams_are_kept_from_call_to_call(devices):
    """So is the memory that CuPy keeps for each of them."""
    sf.coherence(TABLES["ties"], zero="skip", devices=[0, 1])
    made = []
    devices.setattr(fake_cupy.cuda, "Stream", lambda **_: made.append(1))
    sf.coherence(TABLES["ties"], zero="skip", devices=[0, 1])
    assert made == []


# Memory


@pytest.mark.parametrize("share", [1.0, 1.5, 4.0])
def test_memory_is_capped_on_the_device(devices, share):
    x = np.random.default_rng(7).standard_normal((500, 40)).astype(np.float32)
    with pytest.raises(ValueError, match=r"^memory: must be at least (\d+) bytes") as refusal:
        sf.nearest(x, k=2, backend="cuda", memory=1)
    least = int(str(refusal.value).split("at least ")[1].split()[0])
    memory = int(least * share)
    with counted_bytes() as most:
        found = sf.nearest(x, k=2, backend="cuda", memory=memory)
    assert found == sf.nearest(x, k=2)
    assert most[-1] <= memory


# What is open, and where it does not fit


def test_orthogonal_and_equal_rows_at_edges(devices):
    """All pairs on a histogram's edge: nothing is to be listed one by one."""
    rows = np.concatenate([np.eye(80), -np.eye(80), np.eye(80)])
    assert same(sf.histogram(rows, backend="cuda"), sf.histogram(rows))
    assert sf.count(rows, angle=90, backend="cuda") == 240 * 239 // 2


@pytest.mark.parametrize("signed", [False, True])
def test_all_pairs_listed(devices, signed):
    """More pairs than there is room for, in tiles and in pieces."""
    x = TABLES["ties"][:130]
    how = dict(cosine=0.0, signed=signed, limit=10**6, zero="skip")
    assert sf.pairs(x, backend="cuda", **how) == sf.pairs(x, **how)


# Mistakes


def test_mistakes(devices):
    bad = TABLES["random"].copy()
    bad[77, 3] = np.nan
    for there in bad, on_device(bad):
        with pytest.raises(
            ValueError, match=r"^vectors: entries must be finite, got nan in row 77"
        ):
            sf.coherence(there, backend="cuda", zero="skip")
    integers = np.ones((90, 4), np.int64)
    integers[70, 2] = 2**53 + 1
    with pytest.raises(ValueError, match=r"^vectors: integers must be .* in row 70"):
        sf.coherence(on_device(integers))
    with pytest.raises(ValueError, match=r"^vectors: rows must not be zero"):
        sf.coherence(on_device(np.zeros((4, 3))))
    with pytest.raises(ValueError, match=r"^vectors: must be two-dimensional"):
        sf.coherence(on_device(np.zeros(4)))
    with pytest.raises(ValueError, match=r"^backend: must be 'auto' or 'cuda' for vectors on a d"):
        sf.coherence(on_device(np.eye(3)), backend="cpu")
    with pytest.raises(ValueError, match=r"^devices: must be different numbers from 0 on"):
        sf.coherence(np.eye(3), devices=[1, 1])
    with pytest.raises(ValueError, match=r"^devices: must come with backend='cuda'"):
        sf.coherence(np.eye(3), backend="reference", devices=0)
    with pytest.raises(TypeError, match=r"^devices: must be a whole number"):
        sf.coherence(np.eye(3), devices="0")


def test_without_cupy(monkeypatch):
    def lacking():
        raise ValueError("backend: 'cuda' must have CuPy (pip install ...), got nothing")

    monkeypatch.setattr(loader, "import_cupy", lacking)
    monkeypatch.setattr(entry, "_module", loader.load)
    with pytest.raises(ValueError, match=r"^backend: 'cuda' must have CuPy"):
        sf.coherence(np.eye(3), backend="cuda")
    with pytest.raises(ValueError, match=r"^vectors: must lie in the host's memory without CuPy"):
        sf.coherence(Exporter(np.eye(3)))


def test_bfloat16_bits(devices):
    """As torch has them on a device: the bits of another type, by that type's name."""
    from superpos_fast.kernels.cuda.inputs import OnDevice

    rng = np.random.default_rng(8)
    x = rng.standard_normal((60, 9)).astype(ml_dtypes.bfloat16)
    there = OnDevice(on_device(x.view(np.uint16)), "bfloat16")
    assert sf.nearest(there, k=2) == sf.nearest(x, k=2)


def test_without_tensor_cores(emulator):
    """An older device stores its tiles, and answers the same."""
    with emulated_devices(1, capability=75) as patch:
        small_tiles(patch)
        x = TABLES["random"]
        for ask in (sf.nearest, lambda x, **how: sf.count(x, cosine=[0.3, 0.4], **how)):
            assert same(ask(x, backend="cuda", zero="skip"), ask(x, zero="skip"))


def test_threads_of_a_device_in_another_order(devices):
    for module in (entry.module_on(0), entry.module_on(1)):
        devices.setattr(module.device, "seed", 7)
    x = TABLES["ties"][:100]
    assert sf.nearest(x, k=2, backend="cuda", zero="skip") == sf.nearest(x, k=2, zero="skip")


# Bounds of float16 products


def adversaries():
    rng = np.random.default_rng(9)
    base = rng.standard_normal((60, 70))
    spikes = 1e-5 * base
    spikes[np.arange(60), rng.integers(0, 70, 60)] = 1.0
    return {
        "random": base,
        "equal": np.ones((60, 70)),
        "spikes": spikes,
        "tiny entries": np.ldexp(base, -rng.integers(0, 40, base.shape)),
        "nearly equal": base[0] + 1e-4 * base,
    }


@pytest.mark.parametrize("name", adversaries())
def test_no_cosine_is_beyond_its_half_bound(devices, name):
    """Of products as they are summed here, in float32; the tensor cores have their own tests."""
    x = adversaries()[name]
    with entry.Cuda((0,)) as kernels:
        side = (x, *reference.survey(x)[:2])
        coder = kernels.screens.coder
        rows = coder.codes(coder.room(64, 70), side[2], 0, 70, False, None)
        rows.fill(*side, 0)
        scale, _, lengths, lost = rows.facts[:, :60]
        stored = rows.entries(entry.module_on(0), 0, 60).get()[:, :70]
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    decoded = stored.astype(np.float64) / rows.SCALE
    assert (np.linalg.norm(decoded - units, axis=1) <= lost + 1e-15).all()
    assert (np.linalg.norm(decoded, axis=1) <= lengths).all()
    products = (stored.astype(np.float32) @ stored.astype(np.float32).T) / rows.SCALE**2
    kept = products.astype(np.float16).astype(np.float64)
    bound = lost[:, None] * (1 + 2.0**-20) + lengths.max() * lost + half_constant(70)
    assert (np.abs(products - units @ units.T) <= bound).all()
    assert (np.abs(kept - units @ units.T) <= bound + rows.RELATIVE * np.abs(kept)).all()


# The self-test


def test_the_self_test_runs_on_devices(devices, tmp_path, capsys):
    report = tmp_path / "report.txt"
    devices.setattr(
        comparisons, "tables", lambda: {name: table[:90] for name, table in TABLES.items()}
    )
    devices.setattr(rates, "_TIMES", 1)
    asked = ["--backend", "cuda", "--devices", "0,1", "--quick", "--report", str(report)]
    assert selftest.main(asked) == 0
    lines = report.read_text().splitlines()
    assert lines == capsys.readouterr().out.splitlines()
    assert sum(line.startswith("ok") for line in lines) > 60
    for said in (
        "ok .*mean_cosine in float64",
        "cuBLAS, tf32, .*TFLOP/s",
        "ours, fused, .* cuBLAS's",
        "coherence of 500 x 64: .*; the model, .* s$",
    ):
        assert any(re.match(said, line) for line in lines), said
    assert lines[-1] == "all as plain NumPy has it"


def test_the_self_test_finds_what_is_wrong(devices, tmp_path, capsys):
    """A cosine that is off by its last bit."""
    found = deciding.listed_cosines

    def off(*arguments):
        return np.nextafter(found(*arguments), 2.0)

    devices.setattr(deciding, "listed_cosines", off)
    devices.setattr(comparisons, "tables", lambda: {"random": TABLES["random"][:60]})
    asked = ["--backend", "cuda", "--quick", "--report", str(tmp_path / "report.txt")]
    assert selftest.main(asked) == 1
    assert "FAILED" in capsys.readouterr().out
    assert selftest.main(["--devices", "x"]) == 2
    assert "devices: must be numbers" in capsys.readouterr().err
