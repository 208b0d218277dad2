"""SQLAlchemy's own tests: they are in its source distribution only. `run.py` asks for them."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import sqlalchemy

_DOWNLOAD_SECONDS = 600


def sqlalchemy_sources(cache: Path) -> Path:
    """Return the unpacked source distribution of the installed SQLAlchemy, kept below `cache`.

    `PGFLIGHT_SA_SDIST` names an archive, or a directory that was unpacked from one, to use instead
    of a download. Raises RuntimeError for sources of another version, CalledProcessError for a
    download that fails.
    """
    version = sqlalchemy.__version__
    given = os.environ.get("PGFLIGHT_SA_SDIST", "")
    if given and Path(given).is_dir():
        return _checked(Path(given), version)
    unpacked = cache / f"sqlalchemy-{version}"
    if not unpacked.is_dir():
        archive = Path(given) if given else _download(version, cache)
        if not tarfile.is_tarfile(archive):
            raise RuntimeError(
                f"PGFLIGHT_SA_SDIST={given!r} is neither a directory nor a tar archive"
            )
        _unpack(archive, cache)
    return _checked(unpacked, version)


def _checked(sources: Path, version: str) -> Path:
    init = sources / "lib" / "sqlalchemy" / "__init__.py"
    if not init.is_file() or f'__version__ = "{version}"' not in init.read_text():
        raise RuntimeError(
            f"{sources} does not hold the sources of the installed SQLAlchemy {version}: "
            "unset PGFLIGHT_SA_SDIST, or name that version's source distribution"
        )
    return sources


def _download(version: str, cache: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    # Without isolation: pip would otherwise compile Cython first, only to read the metadata.
    options = ["--no-deps", "--no-binary", "sqlalchemy", "--no-build-isolation"]
    options += ["--dest", str(cache)]
    subprocess.run(
        [*pip, *options, f"sqlalchemy=={version}"], check=True, timeout=_DOWNLOAD_SECONDS
    )
    (archive,) = cache.glob(f"[sS][qQ][lL]*-{version}.tar.gz")
    return archive


def _unpack(archive: Path, cache: Path) -> None:
    # A name of its own first: an interrupted unpacking must not pass for a whole one.
    partial = cache / f"partial-{os.getpid()}"
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(partial, filter="data")
        else:
            tar.extractall(partial)
    for top in partial.iterdir():
        top.rename(cache / top.name.lower())
    partial.rmdir()
