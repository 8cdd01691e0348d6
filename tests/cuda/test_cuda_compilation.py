"""What NVRTC makes of the kernels, by version and architecture, without a device or a driver."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import nvrtc
from conftest import lacking, need_nvrtc
from superpos_fast.kernels.cuda import formats, loader, sources

ARCHITECTURES = {
    "12.4": ("75", "80", "86", "89", "90"),  # the last before Blackwell
    "12.9": ("75", "80", "86", "89", "90", "100", "120"),
    "13.0": ("75", "80", "86", "89", "90", "100", "120"),
}
OPTIONS = [*loader.OPTIONS, *nvrtc.CUPY_OPTIONS]
FUSED = {"fused_list_f16", "fused_ranks_f16"}


def jobs(architecture):
    return [[sources.source(file), file, f"sm_{architecture}"] for file in sources.FILES]


@pytest.fixture(scope="module")
def compiled():
    """{(version, architecture): what was made, by file}, two processes at a time."""
    pairs = [(version, a) for version in nvrtc.VERSIONS for a in ARCHITECTURES[version]]
    pairs = [pair for pair in pairs if nvrtc.library(pair[0]) is not None]
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda pair: nvrtc.compile_all(pair[0], jobs(pair[1]), OPTIONS), pairs)
        return dict(zip(pairs, made, strict=True))


@pytest.mark.parametrize(
    ("version", "architecture"), [(v, a) for v in nvrtc.VERSIONS for a in ARCHITECTURES[v]]
)
def test_resources(compiled, version, architecture):
    """Nothing is spilled, two blocks or more fit on a multiprocessor, and no kernel is missing."""
    need_nvrtc(version)
    found = {}
    for made in compiled[version, architecture]:
        assert not re.search(r"warning|error", made.log), made.log
        found |= nvrtc.resources(made.log)
    fuses = int(architecture) >= 80
    assert set(found) == set(sources.signatures()) - (set() if fuses else FUSED)
    for name, used in found.items():
        assert used.spilled == 0, name
        assert used.stack == 0, name
        assert used.registers <= 128, name
        dynamic = formats.FUSED_SHARED if name in FUSED else 0
        assert 2 * (used.shared + dynamic) <= (64 if architecture == "75" else 99) * 1024, name


def disassembled(code, folder):
    tool = next(nvrtc.WHEELS.glob("*/nvidia/*/bin/nvdisasm"), None) or shutil.which("nvdisasm")
    if tool is None:
        lacking("no nvdisasm in .venv/cuda")
    os.chmod(tool, 0o755)
    binary = folder / "kernels.cubin"
    binary.write_bytes(code)
    process = subprocess.run(
        [str(tool), "-c", str(binary)], capture_output=True, text=True, check=True
    )
    return dict(
        re.findall(
            r"\.section\s+\.text\.(\w+),.*?\n(.*?)(?=\n\s*\.section\s|\Z)", process.stdout, re.S
        )
    )


@pytest.mark.parametrize("architecture", ["80", "90", "120"])
def test_instructions(compiled, architecture, tmp_path):
    """Tensor cores where they are meant; 16 bytes at a time; no fused multiply-add that decides."""
    need_nvrtc("13.0")
    made = dict(zip(sources.FILES, compiled["13.0", architecture], strict=True))
    fused = disassembled(made["fused.cu"].code, tmp_path)
    for name in FUSED:
        for instruction in ("HMMA.16816.F32", "LDSM.16.M88.4", "LDGSTS.E.BYPASS.128"):
            assert instruction in fused[name], instruction
    tiles = disassembled(made["tiles.cu"].code, tmp_path)
    for name in ("list_f32", "list_f16", "list_f64", "ranks_f16", "peaks_f32", "total_f32"):
        assert re.search(r"LDG\.E\.128", tiles[name]), name
    decisions = disassembled(made["decisions.cu"].code, tmp_path)
    loop = decisions["cosines_tile"].split("BAR.SYNC")[2]
    assert loop.count("DMUL") >= 4 * 4 * 4
    assert loop.count("DADD") >= 4 * 4 * 4
    assert "DFMA" not in loop[: loop.rindex("LDS")]  # division and root have some, after it


def test_options_are_cupys():
    """The options that CuPy adds, asked of CuPy."""
    folder = nvrtc.WHEELS / nvrtc.VERSIONS[-1]
    if not (folder / "cupy").exists():
        lacking("no CuPy in .venv/cuda")
    program = f"""
import sys
sys.path.insert(0, {str(folder)!r})
from cupy.cuda import compiler

class Program:
    def __init__(self, *arguments, **options):
        pass
    def compile(self, options, log):
        print(*options)
        return b"", {{}}

compiler._NVRTCProgram = Program
compiler._get_arch_for_options_for_nvrtc = lambda arch: ("-arch=sm_80", "cubin")
compiler._get_nvrtc_version = lambda: (13, 0)
compiler._compile_using_nvrtc_no_warning("", {loader.OPTIONS!r}, arch="80")
"""
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert set(process.stdout.split()) == {"-arch=sm_80", *OPTIONS} - {"-ftz=true"}
    # The one that is added further up, where a device is asked for.
    text = (folder / "cupy" / "cuda" / "compiler.py").read_text()
    assert "options += ('-ftz=true',)" in text
