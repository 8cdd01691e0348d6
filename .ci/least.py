"""Print the least versions that pyproject.toml allows, as constraints for pip."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
wanted = project["dependencies"] + [
    text for name in ("cli", "io", "plot", "dask") for text in extras[name]
]
for text in wanted:
    print(re.sub(r"^([\w.-]+)>=([\w.]+)$", r"\1==\2", text))
