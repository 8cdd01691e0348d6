"""Install what the CUDA tests need into folders of .venv/cuda, each once: `make test-cuda`.

Versions of NVRTC share one import name and one library name, so that each has a folder of its own
and is loaded in a process of its own.
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".venv" / "cuda"
WHEELS = {
    "12.4": ["nvidia-cuda-nvrtc-cu12==12.4.*"],
    "12.9": ["nvidia-cuda-nvrtc-cu12==12.9.*"],
    "13.0": ["nvidia-cuda-nvrtc==13.0.*", "nvidia-cuda-runtime==13.0.*", "cupy-cuda13x==14.2.*"],
    "disassembler": ["nvidia-cuda-nvdisasm>=13.2"],
    "cutlass": ["nvidia-cutlass==4.2.0.0"],
}
WITH_DEPENDENCIES = {"13.0"}


def install(name, packages):
    """Install packages into a folder, unless these were there."""
    folder = FOLDER / name
    stamp = folder / "installed"
    if stamp.exists() and stamp.read_text().split() == packages:
        return
    alone = [] if name in WITH_DEPENDENCIES else ["--no-deps"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *alone, "--upgrade", "--target", str(folder), *packages], check=True)
    stamp.write_text("\n".join(packages))


if __name__ == "__main__":
    for name, packages in WHEELS.items():
        install(name, packages)
