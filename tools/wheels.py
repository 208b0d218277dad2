"""Build, check, install and use the wheels of several interpreters: what a release needs.

    python tools/wheels.py --url postgresql+asyncpg://user:password@host/db python3.10 python3.11

The sdist is built first and everything else from it: one compiled wheel per interpreter and one
pure wheel. twine, check-wheel-contents and auditwheel (Linux) must find no fault; then each wheel
goes into an empty environment and tools/smoke.py works with it on the server. The running
interpreter needs the packages of the extra `release`. With `--reuse`, what is in the output
directory already is not built again: `.ci/run` has built its wheels for the environments of its
tests. Where HEAD has a tag v*, tools/release.py has to accept it first.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMOKE = ROOT / "tools" / "smoke.py"
REQUIRED = {"PGFLIGHT_REQUIRE_EXTENSIONS": "1"}
PURE = {"PGFLIGHT_NO_EXTENSIONS": "1"}


def run(
    what: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
) -> str:
    """Run `command` apart from this tree's own environment and return its output.

    SystemExit naming `what`, with the output, when it fails.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONPATH" and not name.startswith("PGFLIGHT_")
    }
    started = time.perf_counter()
    ran = subprocess.run(
        [str(part) for part in command],
        env=inherited | dict(environment or {}),
        cwd=tempfile.gettempdir(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if ran.returncode:
        raise SystemExit(f"{ran.stdout}\n{what}: failed with exit code {ran.returncode}")
    print(f"{what}: {time.perf_counter() - started:.1f} s", flush=True)
    return ran.stdout


def environment(interpreter: str, directory: Path) -> Path:
    """Make an empty virtual environment in `directory` and return its interpreter."""
    run(f"environment of {interpreter}", [interpreter, "-m", "venv", "--clear", directory])
    return directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def only(directory: Path, pattern: str) -> Path:
    """Return the one file that matches; SystemExit when there is none or more."""
    found = list(directory.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"{directory}: expected one {pattern}, found {[f.name for f in found]}")
    return found[0]


def release_tags(root: Path) -> list[str]:
    """Return the tags v* of the commit that `root` has checked out; none where there is no git."""
    command = ["git", "-C", str(root), "tag", "--points-at", "HEAD", "--list", "v*"]
    if not (root / ".git").exists():
        return []
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def committed(root: Path) -> str:
    """Return the time of the commit that `root` has checked out, in seconds since 1970.

    Builds have it for their date, so that two have the same bytes; 0 is 1980 in a wheel, and stands
    for a tree without git.
    """
    if not (root / ".git").exists():
        return "0"
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def build_sdist(output: Path) -> Path:
    """Build the sdist into `output`."""
    run("sdist", [sys.executable, "-m", "build", "--sdist", "--outdir", output, ROOT])
    return only(output, "*.tar.gz")


def build_wheel(python: Path, sdist: Path, output: Path, switch: Mapping[str, str]) -> Path:
    """Build the wheel of `sdist` for the interpreter `python` and move it into `output`."""
    with tempfile.TemporaryDirectory() as made:
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "wheel",
            "--no-cache-dir",
        ]
        run("wheel", [*pip, "--no-deps", "--wheel-dir", made, sdist], switch)
        wheel = only(Path(made), "*.whl")
        return Path(shutil.move(wheel, output / wheel.name))


def audit(wheel: Path) -> None:
    """Have auditwheel look at a compiled wheel; SystemExit unless it fits some manylinux."""
    report = run(f"auditwheel {wheel.name}", [sys.executable, "-m", "auditwheel", "show", wheel])
    tag = re.search(r'platform tag:\s*"(manylinux_\d+_\d+_\w+)"', report)
    if tag is None:
        raise SystemExit(f"{report}\n{wheel.name} does not fit any manylinux platform")
    print(f"  fits {tag[1]}")


def use(interpreter: str, wheel: Path, form: str, url: str) -> None:
    """Install `wheel` alone into an empty environment and have it do real work."""
    with tempfile.TemporaryDirectory() as directory:
        python = environment(interpreter, Path(directory) / "env")
        pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "install"]
        run(f"install {wheel.name}", [*pip, wheel])
        checks: list[str | Path] = [python, "-W", "error", SMOKE, url, form]
        print("  " + run(f"use {wheel.name}", checks).strip())


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; every interpreter has to exist."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("interpreters", nargs="+", help="such as python3.12, or a path")
    parser.add_argument("--url", required=True, help="postgresql+asyncpg URL of a server to use")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="default: dist")
    parser.add_argument("--reuse", action="store_true", help="build only what is not there yet")
    options = parser.parse_args(arguments)
    for interpreter in options.interpreters:
        if shutil.which(interpreter) is None:
            parser.error(f"{interpreter}: no such interpreter on the PATH; name one that is there")
    return options


def build(interpreters: Sequence[str], output: Path) -> list[tuple[str, Path, str]]:
    """Build into `output` what is not there; return interpreter, wheel and form of each wheel."""
    sdist = one(output, "*.tar.gz") or build_sdist(output)
    wheels = []
    with tempfile.TemporaryDirectory() as directory:
        for number, interpreter in enumerate(interpreters):
            python = environment(interpreter, Path(directory) / str(number))
            wanted = [(f"*-{tag(python)}-*.whl", REQUIRED, "compiled")]
            if number == 0:
                wanted.append(("*-py3-none-any.whl", PURE, "python"))
            for pattern, switch, form in wanted:
                wheel = one(output, pattern) or build_wheel(python, sdist, output, switch)
                wheels.append((interpreter, wheel, form))
    return wheels


def one(directory: Path, pattern: str) -> Path | None:
    """Return the one file that matches, None where none does; SystemExit when there are more."""
    return only(directory, pattern) if list(directory.glob(pattern)) else None


def tag(python: Path) -> str:
    """Return the tag of an interpreter's wheels, such as cp312-cp312."""
    name = run("version", [python, "-c", "import sys; print('cp%d%d' % sys.version_info[:2])"])
    return f"{name.strip()}-{name.strip()}"


def main() -> None:
    """Build all, check all, use all."""
    options = parse(sys.argv[1:])
    interpreters = [os.path.abspath(str(shutil.which(name))) for name in options.interpreters]
    output = options.output.resolve()
    if output.exists() and any(output.iterdir()) and not options.reuse:
        raise SystemExit(f"{output} is not empty: old files would be checked and used; remove them")
    output.mkdir(parents=True, exist_ok=True)

    os.environ.setdefault("SOURCE_DATE_EPOCH", committed(ROOT))
    for tag in release_tags(ROOT):
        run(f"release {tag}", [sys.executable, ROOT / "tools" / "release.py", tag])
    wheels = build(interpreters, output)
    files = [only(output, "*.tar.gz"), *(wheel for _, wheel, _ in wheels)]
    run("twine", [sys.executable, "-m", "twine", "check", "--strict", *files])
    contents: list[str | Path] = [sys.executable, "-m", "check_wheel_contents"]
    run("check-wheel-contents", [*contents, *files[1:]])
    for interpreter, wheel, form in wheels:
        if sys.platform == "linux" and form == "compiled":
            audit(wheel)
        use(interpreter, wheel, form, options.url)
    print(f"{len(wheels)} wheels and the sdist are in {output}")


if __name__ == "__main__":
    main()
