"""Throw-away Python processes and environments for the tests of activation and the command line.

The package is found whether it is installed or runs from its source tree; in the second case its
entry points are taken from pyproject.toml, as an installation would.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pgflight

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it along on 3.10

ROOT = Path(__file__).parents[2]
BUILTIN = "sqlalchemy.dialects.postgresql.asyncpg.PGDialect_asyncpg"
OURS = "pgflight.dialect.PGDialect_asyncpg"
SHOW = "def show(engine): cls = type(engine.dialect); print(f'{cls.__module__}.{cls.__name__}')\n"


def project() -> dict[str, Any]:
    """Return the table `project` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def import_path(scratch: Path) -> list[str]:
    """Return the directories from which pgflight, its metadata and its dependencies are imported.

    Writes metadata below `scratch` when the package is not installed.
    """
    places = [str(Path(str(pgflight.__file__)).parents[1])]
    try:
        distribution("pgflight")
    except PackageNotFoundError:
        metadata = scratch / "metadata" / f"pgflight-{pgflight.__version__}.dist-info"
        metadata.mkdir(parents=True, exist_ok=True)
        lines = []
        for group, entries in project()["entry-points"].items():
            lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
        (metadata / "entry_points.txt").write_text("\n".join(lines), "utf-8")
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: pgflight\nVersion: {pgflight.__version__}\n", "utf-8"
        )
        places.append(str(metadata.parent))
    return places + [entry for entry in sys.path if Path(entry).name in _SITE_NAMES]


_SITE_NAMES = ("site-packages", "dist-packages")


def run(
    arguments: list[str], path: list[str], *, python: str = sys.executable, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `python` with `path` as PYTHONPATH (nothing: unset) and warnings as errors."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PGFLIGHT_")}
    kept.pop("PYTHONPATH", None)
    kept.pop("DATABASE_URL", None)  # which `doctor` would try
    if path:
        kept["PYTHONPATH"] = os.pathsep.join(path)
    return subprocess.run(
        [python, "-W", "error", *arguments],
        env={**kept, **env},
        cwd=Path(sys.prefix),  # never the source tree, where pgflight is found by luck
        capture_output=True,
        text=True,
        timeout=120,
    )


def succeed(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a process printed; fail the test when it failed or complained."""
    assert done.returncode == 0, f"exit code {done.returncode}:\n{done.stdout}\n{done.stderr}"
    assert done.stderr == ""
    return done.stdout.strip()


class Environment:
    """A virtual environment below `directory` that sees pgflight through a .pth file."""

    def __init__(self, directory: Path) -> None:
        venv.create(directory, symlinks=os.name != "nt", with_pip=False)
        self.python = str(directory / ("Scripts" if os.name == "nt" else "bin") / "python")
        found = succeed(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
        self.site_packages = Path(found)
        # Sorted before the hook's own .pth file: see connect().
        self.connect("a-parent.pth", import_path(directory))

    def connect(self, name: str, places: list[str]) -> None:
        """Have the .pth file `name` add `places` to the environment's path."""
        (self.site_packages / name).write_text("\n".join(places) + "\n", "utf-8")

    def hide_pgflight(self) -> None:
        """Have the environment's Python no longer find pgflight, as if it had been uninstalled."""
        places = import_path(self.site_packages)
        others = [place for place in places if not (Path(place) / "pgflight").is_dir()]
        if any((Path(place) / "sqlalchemy").is_dir() for place in others):
            self.connect("a-parent.pth", others)
        else:  # it is installed beside SQLAlchemy
            self.connect("b-hidden.pth", ["import sys; sys.modules['pgflight'] = None"])

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the environment's Python."""
        return run(list(arguments), [], python=self.python, **env)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m pgflight` in the environment."""
        return self.run("-m", "pgflight", *words)

    def served(self, before: str = "") -> str:
        """Return the class that serves postgresql+asyncpg after the statement `before`."""
        code = (
            f"{SHOW}{before}\nfrom sqlalchemy.ext.asyncio import create_async_engine\n"
            "show(create_async_engine('postgresql+asyncpg://'))"
        )
        return succeed(self.run("-c", code))
