"""Has the change touched what is built? Only then builds are tested in several ways.

The change is what lies between a base and the files that are here now. The base is, in this order:

1. the commit that `PGFLIGHT_CI_BASE` names;
2. the newest commit that passed `.ci/run` on this machine, when it is an ancestor of HEAD;
3. the point where HEAD left the branch that was cloned (`origin/HEAD`), unless that is HEAD itself:
   a fresh clone of that branch does not tell what landed last.

Where there is none, everything that is built counts as changed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

VARIABLE = "PGFLIGHT_CI_BASE"
BUILT = ("src/_speedups/", "setup.py", "pyproject.toml", "MANIFEST.in", "tools/", ".ci/")


class UnknownBase(ValueError):
    """The commit that PGFLIGHT_CI_BASE names is not there."""


def cache_directory() -> Path:
    """Return the directory for what may survive a run; it need not exist."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "pgflight"


class Repository:
    """The git repository at `root`; `passed` is the file that remembers what passed."""

    def __init__(self, root: Path, passed: Path | None = None) -> None:
        self.root = root
        self._passed = passed or cache_directory() / "ci-passed"

    def base(self) -> str | None:
        """Return the commit to compare with, None where there is no telling."""
        given = os.environ.get(VARIABLE, "")
        if given:
            commit = self._commit(given)
            if commit is None:
                raise UnknownBase(f"{VARIABLE}={given!r} is no commit of this repository")
            return commit
        head = self._commit("HEAD")
        if head is None:
            return None
        return self._passed_before(head) or self._left_upstream(head)

    def changed(self) -> list[str] | None:
        """Return the files that differ from the base, new ones included; None without a base."""
        base = self.base()
        if base is None:
            return None
        tracked = self._git("diff", "--name-only", "--no-renames", base)
        new = self._git("ls-files", "--others", "--exclude-standard")
        if tracked is None or new is None:
            return None
        return sorted({*tracked.splitlines(), *new.splitlines()})

    def build_changed(self) -> list[str] | None:
        """Return the changed files that have to do with building; None without a base."""
        changed = self.changed()
        return None if changed is None else [f for f in changed if f.startswith(BUILT)]

    def remember(self) -> None:
        """Remember that HEAD passed, unless files differ from it. A cache: failing is no error."""
        if self._git("status", "--porcelain") != "":
            return
        head = self._commit("HEAD")
        try:
            self._passed.parent.mkdir(parents=True, exist_ok=True)
            self._passed.write_text(f"{head}\n")
        except OSError as error:
            print(f"not remembered: {error}")

    def _passed_before(self, head: str) -> str | None:
        try:
            commit = self._commit(self._passed.read_text("ascii").strip())
        except (OSError, ValueError):
            return None
        if commit is None or self._git("merge-base", "--is-ancestor", commit, head) is None:
            return None
        return commit

    def _left_upstream(self, head: str) -> str | None:
        left = self._git("merge-base", "origin/HEAD", head)
        return None if left is None or left.strip() == head else left.strip()

    def _commit(self, name: str) -> str | None:
        found = self._git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )
        return None if not name or found is None else found.strip()

    def _git(self, *arguments: str) -> str | None:
        """Return the output of git, None where it fails or is not there."""
        try:
            ran = subprocess.run(
                ["git", "-c", "safe.directory=*", *arguments],
                cwd=self.root,
                capture_output=True,
                text=True,
            )
        except OSError:
            return None
        return ran.stdout if ran.returncode == 0 else None
