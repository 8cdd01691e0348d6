"""The asv suite.  asv imports this folder alone: `bench` is found beside it."""

import sys
from pathlib import Path

# The end of the path, so that the package that asv has installed comes first.
sys.path.append(str(Path(__file__).resolve().parents[2]))
