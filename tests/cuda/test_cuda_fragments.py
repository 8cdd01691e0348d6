"""Where entries lie in a warp's registers, against NVIDIA's own description of the instruction.

CUTLASS (the wheel `nvidia-cutlass`, BSD-3-Clause) has it as layouts, functions from a lane and a
place among its registers to a place in a matrix, columns first.
"""

import ctypes
import re
import sys

import pytest

import nvrtc
from conftest import lacking

TRAITS = "cutlass_library/source/include/cute/atom/mma_traits_sm80.hpp"


@pytest.fixture(scope="module")
def layouts():
    """The three layouts of m16n8k16 in fp16, as functions."""
    folder = nvrtc.WHEELS / "cutlass"
    if not folder.joinpath(TRAITS).exists():
        lacking("no CUTLASS in .venv/cuda")
    sys.path.insert(0, str(folder))
    import pycute

    sys.path.remove(str(folder))
    text = folder.joinpath(TRAITS).read_text()
    named = dict(re.findall(r"using (\w+)\s*= Layout<(.*?)>;", text, re.S))
    body = re.search(r"struct MMA_Traits<SM80_16x8x16_F16F16F16F16_TN>\s*\{(.*?)\};", text, re.S)[1]
    same = re.search(r"struct MMA_Traits<SM80_16x8x16_F32F16F16F32_TN>\s*: (\S+)", text)[1]
    assert same == "MMA_Traits<SM80_16x8x16_F16F16F16F16_TN>"
    found = {}
    for side in "ABC":
        layout = re.search(rf"using {side}Layout = (\w+);", body)
        inside = (
            named[layout[1]]
            if layout
            else re.search(rf"using {side}Layout = Layout<(.*?)>;", body, re.S)[1]
        )
        found[side] = pycute.Layout(*_tuples(inside))
    return found


def _tuples(text):
    """Shape and stride: `Shape<_2, Shape<_4>>, Stride<...>` as tuples of numbers."""
    text = re.sub(r"\s|Shape|Stride|_", "", text).replace("<", "(").replace(">", ",)")
    assert re.fullmatch(r"[\d(),]+", text)
    return eval(text)  # digits, commas and parentheses


def test_fragments(device, layouts):
    library = device._library("fused.cu")
    checked = 0
    for side, kind, registers, entries, height in (
        ("A", b"a", 4, 2, 16), ("B", b"b", 2, 2, 8), ("C", b"s", 4, 1, 16),
    ):  # fmt: skip
        layout = layouts[side]
        assert layout.size() == 32 * registers * entries
        for lane in range(32):
            for place in range(registers * entries):
                spot = (ctypes.c_int * 2)()
                library.emu_spot(ctypes.c_char(kind), lane, *divmod(place, entries), spot)
                row, column = spot[0], spot[1]
                if side == "B":  # described with its columns as rows
                    row, column = column, row
                assert layout(lane, place) == column * height + row
                checked += 1
    assert checked == 32 * (8 + 4 + 4)
