"""The asv suite: every public function is in it, and all of it runs, at sizes that take no time."""

import dataclasses
import functools
import inspect
import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

import superpos_fast
from bench import calls, roofline, tracked
from bench.benchmarks import functions, start
from bench.benchmarks import roofline as shares

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the FMA peak is compiled code")

PREFIXES = ("time_", "peakmem_", "track_", "timeraw_")
MODULES = (functions, shares, start)
# What takes long at any size is smaller in the tests.
SMALLER = {
    "capacity.pack": calls.Call({"restarts": 1, "max_steps": 2}, calls.at(10, 3)),
    "capacity.greedy": calls.Call({"angle": 60, "attempts": 50}, calls.at(4)),
    "capacity.sample_coherence": calls.Call(positional=calls.at(20, 4, 2)),
    "capacity.readout": calls.Call({"trials": 2}, lambda rows: (rows, 2)),
    "estimate": calls.Call({"of": "count", "angle": 80, "rows": 10}),
}


def suite():
    """The classes that asv finds."""
    return [
        one
        for module in MODULES
        for name, one in vars(module).items()
        if inspect.isclass(one) and one.__module__ == module.__name__ and name[0] != "_"
    ]


def methods(one):
    return [name for name in dir(one) if name.startswith(PREFIXES)]


def public_names(module=superpos_fast, prefix=""):
    """Functions, and the one class that computes, by where they stand below `superpos_fast`."""
    for name in getattr(module, "__all__", vars(module)):
        one = getattr(module, name)
        if isinstance(one, ModuleType) and one.__name__.startswith("superpos_fast"):
            yield from public_names(one, f"{prefix}{name}.")
        elif one is superpos_fast.Incremental or (
            inspect.isfunction(one) and one.__module__.startswith(module.__name__)
        ):
            yield prefix + name


def test_every_public_function_has_a_benchmark():
    names = set(public_names())
    assert {"coherence", "capacity.pack", "capacity.frames.e8", "data.example"} < names
    assert names == set(calls.CALLS)
    measured = {value for one in suite() if hasattr(one, "params") for value in one.params[0]}
    assert names <= measured


def test_a_function_without_a_benchmark_is_named(monkeypatch):
    def novelty(vectors):
        """A function that somebody adds."""

    novelty.__module__ = "superpos_fast.novelties"
    monkeypatch.setattr(superpos_fast, "novelty", novelty, raising=False)
    monkeypatch.setattr(superpos_fast, "__all__", [*superpos_fast.__all__, "novelty"])
    assert set(public_names()) - set(calls.CALLS) == {"novelty"}


def test_functions_have_their_peak_memory():
    """But those of formulas and frames, which take next to nothing."""
    held = {name for one in suite() if hasattr(one, "peakmem_call") for name in one.params[0]}
    assert held == set(calls.CALLS) - set(calls.THEORY | calls.FRAMES)
    assert all(methods(one) for one in suite())


def tiny(one):
    """All first parameters, and with each the first few of the others, of sizes that are tiny."""
    small = {"n": [60], "d": [7]}
    names = dict(zip(one.param_names, one.params, strict=True))
    table = functions.TABLE in names.get("n", [])
    rest = [
        [functions.TABLE] if name == "n" and table else small.get(name, values)
        for name, values in list(names.items())[1:]
    ]
    return itertools.product(names[one.param_names[0]], *rest)


CASES = [
    pytest.param(one, parameters, id=f"{one.__name__}-{'-'.join(map(str, parameters))}")
    for one in suite()
    if one.__module__ == functions.__name__
    for parameters in tiny(one)
]


@pytest.fixture
def small(monkeypatch):
    whole = functions.rows_of
    monkeypatch.setattr(calls, "CALLS", calls.CALLS | SMALLER)
    monkeypatch.setattr(functions, "rows_of", lambda *which: whole(*which)[:300])


@pytest.mark.parametrize(("one", "parameters"), CASES)
def test_functions(one, parameters, small):
    benchmark = one()
    if "cuda" in parameters or (one is functions.Threads and parameters[1] > functions.THREADS):
        try:
            benchmark.setup(*parameters)
        except NotImplementedError as error:
            pytest.skip(str(error))
    else:
        benchmark.setup(*parameters)
    for name in methods(one):
        getattr(benchmark, name)(*parameters)


def test_what_an_older_version_lacks_is_skipped(monkeypatch):
    monkeypatch.delattr(superpos_fast, "nearest")
    with pytest.raises(NotImplementedError, match="no nearest"):
        functions.PairLoops().setup("nearest", 40, 7)
    monkeypatch.setattr(functions, "THREADS", 1)
    with pytest.raises(NotImplementedError, match="may use 1 threads"):
        functions.Threads().setup("coherence", 2, 40, 7)


def test_shares(monkeypatch):
    quick = functools.partial(roofline.fma_peak, seconds=0.001, repeat=1)
    monkeypatch.setattr(roofline, "fma_peak", lambda dtype, threads, repeat: quick(dtype, threads))
    for name, one in tracked.TRACKED.items():
        monkeypatch.setitem(tracked.TRACKED, name, dataclasses.replace(one, n=64, d=20))
    benchmark = shares.Roofline()
    found = benchmark.setup_cache()
    assert set(found) == set(tracked.TRACKED)
    for name, share in found.items():
        assert benchmark.track_roofline_share(found, name) == share > 0
        assert benchmark.track_peak_times(found, name) == 1 / share


@pytest.mark.parametrize("one", [start.Import, start.FirstCall, start.ColdCall])
def test_start(one):
    for name in methods(one):
        statement, setup = getattr(one(), name)()
        subprocess.run([sys.executable, "-c", f"{setup}\n{statement}"], check=True)


def test_asv_configuration_names_the_suite():
    folder = Path(functions.__file__).resolve().parents[1]
    configuration = json.loads((folder / "asv.conf.json").read_text())
    assert folder / configuration["benchmark_dir"] == Path(functions.__file__).resolve().parent
    assert (folder / configuration["repo"] / "pyproject.toml").exists()


# The floors


def test_floors_lie_between_what_is_usual_and_what_is_slow():
    for registers, processor, floors in tracked.FLOORS:
        assert set(floors) <= set(tracked.TRACKED), (registers, processor)
        assert all(0 < floor < 2 for floor in floors.values())


@pytest.mark.parametrize(("rounds", "missed"), [([0.4, 0.9], 0), ([0.4] * 3, 1), ([np.nan], 1)])
def test_a_round_that_reaches_the_floor_will_do(rounds, missed, monkeypatch, capsys):
    left = list(rounds)
    monkeypatch.setattr(tracked, "floors", lambda: {"float32": 0.6})
    monkeypatch.setattr(tracked.Tracked, "share", lambda *how: left.pop(0))
    clock = itertools.count(0.0, tracked.PATIENCE / (len(rounds) - 0.5))
    monkeypatch.setattr(tracked.time, "perf_counter", lambda: next(clock))
    assert tracked.main(["--floors"]) == missed
    assert not left
    assert ("UNDER IT" in capsys.readouterr().out) == bool(missed)


def test_an_unknown_processor_has_no_floors(monkeypatch, capsys):
    monkeypatch.setattr(tracked, "FLOORS", ())
    assert tracked.main(["--floors"]) == 0
    assert "no floor was ever measured" in capsys.readouterr().out
