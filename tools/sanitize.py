"""Run tests of the compiled pieces under AddressSanitizer and UndefinedBehaviorSanitizer.

    python -m tools.sanitize [pytest arguments]

Builds the extensions in a copy of the tree with gcc's sanitizers, and runs the unit and the
differential tests (or what is given) on them in the running interpreter, whose allocator is
replaced by malloc so that every object is watched. Linux and gcc only. Exit status: that of
pytest; a finding aborts the run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.instrumented import build, environment, test

FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g"
LIBRARIES = ("libasan.so", "libubsan.so")


def library(name: str) -> str:
    """Return the path of one of gcc's run-time libraries; SystemExit where it is missing."""
    found = subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(found).is_absolute():
        raise SystemExit(f"gcc has no {name}: install its sanitizer libraries (libgcc-dev)")
    return str(Path(found).resolve())


def main() -> int:
    """Build, test, and clean up."""
    preloaded = ":".join(map(library, LIBRARIES))
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch, "tree")
        build(tree, sys.executable, CFLAGS=f"{FLAGS} -O1", LDSHARED=f"gcc -shared {FLAGS}")
        env = environment(
            tree,
            LD_PRELOAD=preloaded,
            ASAN_OPTIONS="detect_leaks=0:abort_on_error=1",
            UBSAN_OPTIONS="print_stacktrace=1",
            PYTHONMALLOC="malloc",
            PGFLIGHT_IMPL="compiled",
        )
        return test(tree, [sys.executable], sys.argv[1:], env)


if __name__ == "__main__":
    raise SystemExit(main())
