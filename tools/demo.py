#!/usr/bin/env python3
"""Run the demonstration on a machine that has only Python: python3 tools/demo.py

Makes the virtual environment .venv beside the sources, installs pgflight with what the
demonstration needs, and runs `python -m pgflight demo` with the options given here. Later runs
install again only when the sources changed. Needs the standard library only.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
STAMP = ENVIRONMENT / "pgflight-demo-installed"
OLDEST = (3, 10)


def main(options: list[str]) -> int:
    """Set up what is missing and run the demonstration; return its exit code."""
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        print(f"error: pgflight needs Python 3.10 or newer, and this is {found}", file=sys.stderr)
        return 2
    python = environment_python()
    state = fingerprint()
    if not python.exists() or not STAMP.is_file() or STAMP.read_text("utf-8") != state:
        problem = set_up(python)
        if problem:
            print(f"error: {problem}", file=sys.stderr)
            return 2
        STAMP.write_text(state, "utf-8")
    command = [str(python), "-m", "pgflight", "demo", *options]
    if os.name == "posix":
        os.execv(command[0], command)  # so that Ctrl-C reaches only the demonstration
    return subprocess.call(command)


def set_up(python: Path) -> str:
    """Make the environment and install into it; return what went wrong, "" for nothing."""
    if not python.exists():
        print(f"Making a virtual environment in {ENVIRONMENT.name} ...", flush=True)
        if subprocess.call([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)]):
            return (
                f"{sys.executable} cannot make a virtual environment (see above); on Debian and "
                "Ubuntu: apt install python3-venv"
            )
    print("Installing pgflight and what the demonstration needs (a minute) ...", flush=True)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{ROOT}[demo]"]
    if subprocess.call([str(python), *install]):
        return "the installation failed (see above); it needs the network once"
    return ""


def environment_python() -> Path:
    """Return where the environment's interpreter is, or will be."""
    windows = os.name == "nt"
    return ENVIRONMENT / ("Scripts" if windows else "bin") / ("python.exe" if windows else "python")


def fingerprint() -> str:
    """Return a digest of the sources and of the interpreter that the environment is made from."""
    state = hashlib.sha256(sys.version.encode())
    for path in sources():
        state.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return state.hexdigest()


def sources() -> Iterator[Path]:
    """Yield the files that an installation is made of, in a fixed order."""
    for name in ("pyproject.toml", "setup.py"):
        yield ROOT / name
    for package in ("pgflight", "_speedups"):
        yield from sorted((ROOT / "src" / package).rglob("*.py"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
