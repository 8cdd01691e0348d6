"""NVRTC as CuPy calls it, one version a process: all of them are one library name to the linker.

As a program it reads jobs, lists of [source, name, architecture], from standard input, and writes
for each the compiler's log, and as hexadecimal digits what it made: PTX for `compute_80`, a
binary for `sm_80`.
"""

import ctypes
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
WHEELS = ROOT / ".venv" / "cuda"
BUILT = ROOT / "build" / "nvrtc"
VERSIONS = ("12.4", "12.9", "13.0")
# What CuPy adds to a module's own options (tests/cuda/test_cuda_compilation.py asks it).
CUPY_OPTIONS = ("-ftz=true", "--device-as-default-execution-space")


class Made(NamedTuple):
    """What became of a job."""

    log: str
    code: bytes


def library(version):
    """Return where a version's library lies, or None."""
    return next(WHEELS.joinpath(version).glob("**/libnvrtc.so.*"), None)


def compile_all(version, jobs, options):
    """Compile [(source, name, architecture)] by one version, what was compiled before from disk."""
    facts = [[version, *job, *options] for job in jobs]
    names = [hashlib.sha256(json.dumps(fact).encode()).hexdigest()[:24] for fact in facts]
    places = [BUILT / f"{name}.json" for name in names]
    missing = [n for n, place in enumerate(places) if not place.exists()]
    if missing:
        BUILT.mkdir(parents=True, exist_ok=True)
        process = subprocess.run(
            [sys.executable, __file__, str(library(version)), *options],
            input=json.dumps([jobs[n] for n in missing]),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert process.returncode == 0, process.stderr
        for n, made in zip(missing, json.loads(process.stdout), strict=True):
            places[n].write_text(json.dumps(made))
    results = [json.loads(place.read_text()) for place in places]
    return [Made(result["log"], bytes.fromhex(result["code"])) for result in results]


class Resources(NamedTuple):
    """What the assembler says of a kernel."""

    registers: int
    stack: int
    spilled: int
    shared: int


def resources(log):
    """Return the assembler's report by kernel."""

    def number(pattern, part):
        match = re.search(pattern, part)
        return int(match[1]) if match else 0

    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        found[part.split("'")[0]] = Resources(
            number(r"Used (\d+) registers", part),
            number(r"(\d+) bytes stack frame", part),
            number(r"(\d+) bytes spill stores", part) + number(r"(\d+) bytes spill loads", part),
            number(r"(\d+) bytes smem", part),
        )
    return found


class _Library:
    def __init__(self, path):
        for builtins in sorted(path.parent.glob("libnvrtc-builtins.so*")):
            ctypes.CDLL(str(builtins), ctypes.RTLD_GLOBAL)  # which it opens by its name alone
        self._call = ctypes.CDLL(str(path))

    def compile(self, source, name, architecture, options):
        program = ctypes.c_void_p()
        arguments = ctypes.byref(program), source.encode(), name.encode(), 0, None, None
        self._checked(self._call.nvrtcCreateProgram(*arguments))
        options = [f"-arch={architecture}", *options]
        if architecture.startswith("sm_"):
            options.append("--ptxas-options=-v")
        texts = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        status = self._call.nvrtcCompileProgram(program, len(options), texts)
        log = self._text(program, "ProgramLog").decode()
        if status:
            raise SystemExit(f"{name} for {architecture}:\n{log}")
        kind = "CUBIN" if architecture.startswith("sm_") else "PTX"
        code = self._text(program, kind)
        self._checked(self._call.nvrtcDestroyProgram(ctypes.byref(program)))
        return {"log": log, "code": code.hex()}

    def _text(self, program, what):
        size = ctypes.c_size_t()
        self._checked(self._call[f"nvrtcGet{what}Size"](program, ctypes.byref(size)))
        room = ctypes.create_string_buffer(size.value)
        self._checked(self._call[f"nvrtcGet{what}"](program, room))
        return room.raw

    def _checked(self, status):
        if status:
            raise SystemExit(f"NVRTC failed with status {status}")


def _main(path, *options):
    compiler = _Library(Path(path))
    made = [compiler.compile(*job, options) for job in json.load(sys.stdin)]
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    _main(*sys.argv[1:])
