"""`python -m superpos_fast`, and the `superpos-fast` command."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line, or say in a line what it lacks."""
    try:
        from superpos_fast.cli import main as run
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in {"typer", "rich"}:
            raise
        lack = f"the command line needs {missing}: pip install 'superpos_fast[cli]'"
        print(f"superpos-fast: {lack}", file=sys.stderr)
        return 2
    return run()


if __name__ == "__main__":
    sys.exit(main())
