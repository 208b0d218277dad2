"""A pgbouncer that follows the names of prepared statements, built from a later Debian's sources.

The one that this Debian has is older (before 1.21), and the suite runs with that: both kinds are in
use. Needs root, apt-get, a compiler and a mirror of Debian among the sources of packages.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tools.ci.changes import cache_directory
from tools.ci.machine import Missing, install

RELEASE = "trixie"  # with pgbouncer 1.24
PACKAGES = ["libevent-dev", "libssl-dev", "pkg-config", "make"]
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_MIRROR = re.compile(r"\bhttps?://\S+/debian(?=/?\s)")
_SOURCES = Path("/etc/apt")


def following_pgbouncer() -> Path | None:
    """Return the directory of the program, built once on this machine; None where it cannot be."""
    directory = cache_directory() / f"pgbouncer-{RELEASE}"
    if not (directory / "pgbouncer").exists():
        try:
            _build(directory)
        except (Missing, OSError, subprocess.CalledProcessError) as error:
            print(f"no newer pgbouncer: {error}", file=sys.stderr)
            return None
    return directory


def _build(directory: Path) -> None:
    install(PACKAGES)
    built = directory / "pgbouncer.new"
    with tempfile.TemporaryDirectory() as scratch:
        tree = _sources(Path(scratch))
        options = ["--without-cares", "--disable-debug"]
        for command in (["./configure", *options], ["make", "-j2", "pgbouncer"]):
            subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL)
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tree / "pgbouncer", built)
    built.replace(directory / "pgbouncer")


def _sources(directory: Path) -> Path:
    """Download the sources with apt-get, which proves where they come from; return their tree."""
    for part in ("lists/partial", "archives/partial"):
        (directory / part).mkdir(parents=True)
    listed = directory / "sources.list"
    listed.write_text(f"deb-src [signed-by={_KEYRING}] {_mirror()} {RELEASE} main\n")
    settings = {
        "Dir::Etc::sourcelist": listed,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": directory / "lists",
        "Dir::Cache": directory,
        "APT::Sandbox::User": "root",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    for words in (["update"], ["source", "--download-only", "pgbouncer"]):
        command = ["apt-get", "-qq", *options, *words]
        subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)
    (archive,) = directory.glob("pgbouncer_*.orig.tar.gz")
    with tarfile.open(archive) as packed:
        # Python before 3.11.4 has no filters; apt-get has proven where the archive comes from
        kind: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        packed.extractall(directory / "tree", **kind)
    (tree,) = (directory / "tree").iterdir()
    return tree


def _mirror() -> str:
    files = [_SOURCES / "sources.list", *sorted((_SOURCES / "sources.list.d").glob("*"))]
    for file in files:
        if file.is_file() and (found := _MIRROR.search(file.read_text("utf-8"))):
            return found[0]
    raise Missing("a mirror of Debian in /etc/apt")
