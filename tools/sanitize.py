"""Run tests of the compiled pieces under AddressSanitizer and UndefinedBehaviorSanitizer.

    python tools/sanitize.py [pytest arguments]

Builds the extensions in a copy of the tree with gcc's sanitizers, and runs the unit and the
differential tests (or what is given) on them in the running interpreter, whose allocator is
replaced by malloc so that every object is watched. Linux and gcc only. Exit status: that of
pytest; a finding aborts the run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g"
LIBRARIES = ("libasan.so", "libubsan.so")
# Without a database, and without what starts compilers and installs.
TESTS = ("tests/unit", "tests/differential", "-m", "not db and not slow")


def library(name: str) -> str:
    """Return the path of one of gcc's run-time libraries; SystemExit where it is missing."""
    found = subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(found).is_absolute():
        raise SystemExit(f"gcc has no {name}: install its sanitizer libraries (libgcc-dev)")
    return str(Path(found).resolve())


def build(tree: Path) -> None:
    """Copy the sources into `tree` and compile them with the sanitizers."""
    built = shutil.ignore_patterns("*.so", "*.pyd", "*.c", "__pycache__", "*.egg-info", ".venv")
    for name in ("src", "tests", "bench"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=built)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    link = tree / "src" / "fastpg" / "_speedups"
    if not link.exists():
        link.symlink_to(Path("..") / "_speedups")
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace", "--force"],
        cwd=tree,
        env={
            **os.environ,
            "CFLAGS": f"{FLAGS} -O1",
            "LDSHARED": f"gcc -shared {FLAGS}",
            "FASTPG_REQUIRE_EXTENSIONS": "1",
        },
        check=True,
    )


def main() -> int:
    """Build, test, and clean up."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        build(tree)
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(sys.argv[1:] or TESTS)],
            cwd=tree,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(tree / "src"), *filter(None, sys.path[1:])]),
                "LD_PRELOAD": ":".join(map(library, LIBRARIES)),
                "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
                "UBSAN_OPTIONS": "print_stacktrace=1",
                "PYTHONMALLOC": "malloc",
                "FASTPG_IMPL": "compiled",
            },
        ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
