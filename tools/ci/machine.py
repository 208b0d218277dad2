"""What has to be on the machine: interpreters, a server, a compiler; installed where missing.

Installing takes root and apt-get. Without them, a missing part fails the step that needs it, with
its name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

NO_CLUSTER = "create_main_cluster = false\n"
DEBUG_PACKAGES = ("python{0}-dbg", "libpython{0}-dbg")
# An interpreter of use can make environments and compile.
_OF_USE = """import ensurepip, os, sysconfig
os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))"""


_installing = threading.Lock()  # apt-get fails while another step's is at work


class Missing(Exception):
    """Something is not on this machine and cannot be installed here; the message names it."""


def interpreter(version: str) -> str:
    """Return the path of a Python such as "3.12", from the PATH or from pyenv; else Missing."""
    found = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    installed = sorted(pyenv.glob(f"{version}.*/bin/python"))
    for candidate in (*([found] if found else []), *map(str, installed)):
        # pyenv's shims are there for versions that are not switched on, too, and fail.
        if subprocess.run([candidate, "-c", _OF_USE], capture_output=True).returncode == 0:
            return candidate
    raise Missing(
        f"python{version} with its headers and ensurepip: put it on the PATH, or install it with"
        " pyenv"
    )


def has_server() -> bool:
    """Tell whether a PostgreSQL server is installed."""
    here = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return shutil.which("postgres") is not None or any(here)


def has_pgbouncer() -> bool:
    """Tell whether pgbouncer is installed."""
    return shutil.which("pgbouncer") is not None or Path("/usr/sbin/pgbouncer").exists()


def has_debug_build(version: str) -> bool:
    """Tell whether a debug build of this Python is there, with its headers."""
    found = shutil.which(f"python{version}-dbg")
    if found is None:
        return False
    asked = "import sysconfig; print(sysconfig.get_config_h_filename())"
    header = subprocess.run([found, "-c", asked], capture_output=True, text=True)
    return header.returncode == 0 and Path(header.stdout.strip()).exists()


def missing_packages() -> list[str]:
    """Return the Debian packages that the tests of every change need and that are not there."""
    wanted: list[str] = []
    if not has_server():
        wanted += ["postgresql", "postgresql-contrib"]
    if not has_pgbouncer():
        wanted.append("pgbouncer")
    if shutil.which("cc") is None:
        wanted += ["gcc", "libc6-dev"]
    return wanted


def prepare(versions: Iterable[str]) -> None:
    """Install what is missing; Missing for what cannot be."""
    wanted = missing_packages()
    if "postgresql" in wanted and os.geteuid() == 0:
        # The tests start servers of their own: the package must not start one.
        settings = Path("/etc/postgresql-common/createcluster.conf")
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(NO_CLUSTER)
    install(wanted)
    if "pgbouncer" in wanted:
        subprocess.run(["service", "pgbouncer", "stop"])  # nor may pgbouncer's stay
    for version in versions:
        try:
            found = interpreter(version)
        except Missing:
            install([f"python{version}-dev", f"python{version}-venv"])
            found = interpreter(version)
        print(f"python{version}: {found}", flush=True)


def prepare_debug_build(version: str) -> bool:
    """Install the debug build of a Python where it is missing; tell whether it is there now."""
    if not has_debug_build(version):
        packages = [name.format(version) for name in DEBUG_PACKAGES]
        install_if_possible(packages, f"debug build of Python {version}")
    return has_debug_build(version)


def prepare_browser() -> None:
    """Install Chromium where it is missing and can be."""
    if shutil.which("chromium") is None and shutil.which("chromium-browser") is None:
        install_if_possible(["chromium"], "Chromium")


def prepare_postgis() -> None:
    """Install PostGIS for the PostgreSQL of this machine where it is missing and can be."""
    for postgres in Path("/usr/lib/postgresql").glob("*/bin/postgres"):
        version = postgres.parents[1].name
        if not Path(f"/usr/share/postgresql/{version}/extension/postgis.control").exists():
            package = f"postgresql-{version}-postgis-3"
            install_if_possible([package], f"PostGIS for PostgreSQL {version}")


def install_if_possible(packages: list[str], what: str) -> None:
    """Install packages of Debian, or say that there is no such thing here."""
    try:
        install(packages)
    except (Missing, subprocess.CalledProcessError) as error:
        print(f"no {what}: {error}", file=sys.stderr)


def install(packages: list[str]) -> None:
    """Install packages of Debian; Missing without root or apt-get."""
    if not packages:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Missing(f"{' '.join(packages)}: not installable without root and apt-get")
    options = ["-y", "-qq", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _installing:
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
        subprocess.run(["apt-get", "install", *options, *packages], check=True, env=quiet)
