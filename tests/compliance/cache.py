"""The outcomes of the built-in dialect, kept between runs: nothing of ours changes them.

`run_builtin()` asks here when `PGFLIGHT_COMPLIANCE_CACHE` names a directory. An entry is for one
combination of everything that the outcomes depend on; one that is damaged, or of another
combination, counts as none and is written again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.compliance.compare import Outcome
from tests.fixtures.server import Server

VARIABLE = "PGFLIGHT_COMPLIANCE_CACHE"
FEWEST_TESTS = 11_000
"""Of a whole run. What has fewer is no answer, wherever it comes from."""
_FORMAT = 1
_PACKAGES = ("sqlalchemy", "asyncpg", "greenlet", "pytest", "typing_extensions")
_HERE = Path(__file__).parent

Key = dict[str, Any]


def run_key(server: Server, selection: Sequence[str]) -> Key:
    """Return everything that the outcomes of the built-in dialect on `server` depend on."""
    return {
        "format": _FORMAT,
        "python": platform.python_version(),
        "optimize": sys.flags.optimize,
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in _PACKAGES},
        "postgresql": list(server.version),
        "extensions": sorted(server.extensions),
        "selection": list(selection),
        # How they are run, and what the server is prepared with.
        "how": _digest(
            *(_HERE / name for name in ("outcomes.py", "run.py")),
            _HERE.parent / "fixtures" / "server.py",
        ),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


class Cache:
    """Entries as files in a directory, each named by a digest of its key."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def asked_for(cls) -> Cache | None:
        """Return the cache that the environment names, and make its directory.

        None without one, and where nothing can be kept.
        """
        given = os.environ.get(VARIABLE, "")
        if not given:
            return None
        directory = Path(given)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            print(f"{VARIABLE}={given!r} is not used: {error}")
            return None
        return cls(directory)

    def load(self, key: Key) -> dict[str, Outcome] | None:
        """Return the outcomes for `key`; None, with the reason printed, where there are none."""
        file = self._file(key)
        try:
            entry = json.loads(file.read_text("utf-8"))
            outcomes = {test: Outcome(*outcome) for test, outcome in entry["outcomes"].items()}
            problem = _problem(entry, key)
        except FileNotFoundError:
            outcomes, problem = {}, "not there"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            outcomes, problem = {}, f"damaged, {error!r}"
        print(f"outcomes of the built-in dialect in {file}: {problem or 'used'}")
        return None if problem else outcomes

    def store(self, key: Key, outcomes: Mapping[str, Outcome]) -> None:
        """Keep the outcomes of a whole run in which nothing went wrong by chance."""
        counts = Counter(outcome.name for outcome in outcomes.values())
        if len(outcomes) < FEWEST_TESTS or counts["error"]:
            print(f"not kept: {dict(counts)} is no sound run")
            return
        kept = {test: list(outcome) for test, outcome in outcomes.items()}
        entry = {"key": key, "outcomes": kept, "digest": _digest_of(kept)}
        file = self._file(key)
        # Under a name of its own first: another run may read, or write, the same entry.
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(entry), "utf-8")
        partial.replace(file)

    def _file(self, key: Key) -> Path:
        return self.directory / f"builtin-{_digest_of(key)[:24]}.json"


def _problem(entry: Mapping[str, Any], key: Key) -> str:
    """Return what is wrong with an entry, empty where nothing is."""
    if entry["key"] != key:
        return "of another combination of versions"
    if entry["digest"] != _digest_of(entry["outcomes"]):
        return "damaged, its digest is another"
    if len(entry["outcomes"]) < FEWEST_TESTS:
        return f"only {len(entry['outcomes'])} tests"
    return ""


def _digest_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
