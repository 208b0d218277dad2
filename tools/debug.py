"""Run tests of the compiled pieces in a debug build of CPython, which checks itself.

    python -m tools.debug [pytest arguments]

Builds the extensions in a copy of the tree with the headers of the debug build of the running
version (Debian: python3.11-dbg, libpython3.11-dbg), so that the interpreter's assertions and its
count of references hold in them, too, and runs the unit and the differential tests (or what is
given) there in development mode. Exit status: that of pytest; a failed assertion aborts the run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.instrumented import build, environment, test

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


def interpreter() -> str | None:
    """Return the path of the debug build of the running version; None without one that builds."""
    found = shutil.which(f"python{VERSION}-dbg")
    if found is None:
        return None
    asked = "import os, sysconfig; print(sysconfig.get_config_h_filename())"
    header = subprocess.run([found, "-c", asked], capture_output=True, text=True, check=True)
    return found if Path(header.stdout.strip()).exists() else None


def main() -> int:
    """Build, test, and clean up."""
    python = interpreter()
    if python is None:
        raise SystemExit(
            f"no debug build of Python {VERSION} with headers is on the PATH: on Debian install "
            f"python{VERSION}-dbg and libpython{VERSION}-dbg"
        )
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch, "tree")
        build(tree, python)
        return test(
            tree, [python, "-X", "dev"], sys.argv[1:], environment(tree, PGFLIGHT_IMPL="compiled")
        )


if __name__ == "__main__":
    raise SystemExit(main())
