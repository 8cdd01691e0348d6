"""Whether the tests find bugs: each is planted in the kernels by itself, and some test must fail.

    python tests/cuda/mutants.py [WORDS]    # all of them, or those whose description has the words

What is written into inline assembly is seen by the PTX that NVRTC makes of it, and by nothing else;
those take half a minute each.  `mutants.toml` has the bugs and `mutants.txt` the latest results.
"""

import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
KERNELS = HERE.parents[1] / "kernels" / "cuda"


class Mutant(NamedTuple):
    """A bug; see `mutants.toml`."""

    what: str
    file: str
    right: str
    wrong: str
    tests: str
    device: str = "source"
    equal: str = ""


def mutants():
    """Return all of them."""
    with (HERE / "mutants.toml").open("rb") as file:
        return [Mutant(**bug) for bug in tomllib.load(file)["bug"]]


def planted(mutant, folder):
    """Write the kernels with the bug into a folder."""
    for file in KERNELS.glob("*.cu*"):
        text = file.read_text()
        if file.name == mutant.file:
            assert mutant.right in text, f"{mutant.what}: no {mutant.right!r} in {mutant.file}"
            text = text.replace(mutant.right, mutant.wrong, 1)
        Path(folder, file.name).write_text(text)


def found(mutant):
    """Return what the first test that fails says, or None."""
    with tempfile.TemporaryDirectory() as folder:
        planted(mutant, folder)
        process = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider",
             str(HERE / f"test_cuda_{mutant.tests}.py"), "-k", f"{mutant.device}-"],
            env={**os.environ, "SUPERPOS_FAST_KERNELS": folder},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert process.returncode in (0, 1), process.stdout + process.stderr
    assert "CompilationError" not in process.stdout, process.stdout
    if process.returncode == 0:
        return None
    said = [line[4:] for line in process.stdout.splitlines() if line.startswith("E   ")]
    return said[0].strip()[:90] if said else "an error"


def main(words):
    chosen = [mutant for mutant in mutants() if words in mutant.what]
    lines, missed = [], 0
    for mutant in chosen:
        start = time.perf_counter()
        said = found(mutant)
        fate = "equal" if said is None and mutant.equal else "MISSED" if said is None else "found"
        if said is not None and mutant.equal:
            fate = "found, though thought to be equal"
        missed += fate == "MISSED"
        reason = mutant.equal if fate == "equal" else said or ""
        lines.append(f"{fate:6} {mutant.file:14} {mutant.what}: {reason}")
        print(lines[-1], f"({time.perf_counter() - start:.0f} s)", flush=True)
    total = f"{len(chosen)} bugs planted, {missed} missed"
    print(total)
    if not words:
        (HERE / "mutants.txt").write_text("\n".join([*lines, total]) + "\n")
    return missed > 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
