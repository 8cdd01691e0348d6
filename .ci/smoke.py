"""An installed package, nothing but what it depends on: it answers, and says what is missing."""

import importlib.util
import subprocess
import sys

import numpy as np

import superpos_fast

extras = [
    name
    for name in ("typer", "safetensors", "matplotlib", "dask")
    if importlib.util.find_spec(name)
]
assert not extras, extras
rows = np.random.default_rng(0).standard_normal((3000, 100), dtype=np.float32)
unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
gram = abs(unit @ unit.T)
np.fill_diagonal(gram, 0)
assert abs(superpos_fast.coherence(rows) - gram.max()) < 1e-5
assert superpos_fast.coherence(rows, backend="reference") == superpos_fast.coherence(rows)
assert superpos_fast.capacity.bounds(100, angle=89)
command = [sys.executable, "-m", "superpos_fast", "coherence"]
refused = subprocess.run(command, capture_output=True, text=True, check=False)
assert refused.returncode, refused
assert "cli" in refused.stderr, refused
assert "Traceback" not in refused.stderr, refused
print("1 passed, 0 failed")
