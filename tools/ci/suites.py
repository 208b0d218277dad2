"""One run of pytest as data: what it collects, and in which environment. `steps` lists them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tools.ci.again import Attempts
from tools.ci.environments import PASSES, VERSIONS, Environment
from tools.ci.jobs import Job

QUICK_SCALE = "0.2"
# These tests wait for a server more than they compute; each worker has a server of its own.
WORKERS = 3
# pytest says at start-up that -O drops assertions outside test modules; ours are none there.
_UNDER_O = ("-W", "ignore:assertions not in test modules:pytest.PytestConfigWarning")
DEFAULT = PASSES["default"]


@dataclass(frozen=True)
class Suite:
    """A selection of tests in one environment.

    `ignore` names files, or the beginnings of test ids; `scale` is that of tests/fixtures/scale.py,
    `selection` that of tests/fixtures/selection.py ("" for all);
    `workers` is 1 where the tests start processes of their own, or measure.
    """

    paths: tuple[str, ...]
    environment: Environment = field(default=DEFAULT)
    marker: str = ""
    keyword: str = ""
    ignore: tuple[str, ...] = ()
    scale: str = "1"
    selection: str = ""
    workers: int = WORKERS
    options: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    def command(self, python: str | Path, workers: int | None = None) -> list[str]:
        """Return the command line, with this many workers."""
        workers = self.workers if workers is None else workers
        words = [str(python), "-m", "pytest", *self.paths, "--durations=25"]
        words += ["-m", self.marker] if self.marker else []
        words += ["-k", self.keyword] if self.keyword else []
        for path in self.ignore:
            words.append(f"--deselect={path}" if "::" in path else f"--ignore={path}")
        # A worker that is done takes over from the others: the long tests come last.
        words += ["-n", str(workers), "--dist", "worksteal"] if workers > 1 else []
        words += self.options
        words += _UNDER_O if self.environment.optimize == "-O" else ()
        return words

    def all_variables(self) -> dict[str, str]:
        """Return the environment variables that belong to it."""
        own = {"PGFLIGHT_TEST_SCALE": self.scale, **dict(self.variables)}
        if self.selection:
            own["PGFLIGHT_TEST_SELECTION"] = self.selection
        return self.environment.variables() | own

    def run(self, job: Job, number: int, *, forgives: bool) -> None:
        """Run it, the step's ``number``th suite; a failure is noted, and the others run as well.

        Where it ``forgives``, what failed may pass when it is run once more (`again`).
        """
        python = python_of(job, self.environment.versions)
        Attempts(job, number).run(
            self.command(python),
            self.command(python, workers=1),
            self.all_variables(),
            forgives=forgives,
        )


def python_of(job: Job, versions: str) -> Path:
    """Return the interpreter of the virtual environment with these versions."""
    if versions not in VERSIONS:
        raise KeyError(versions)
    return job.scratch / f"env-{versions}" / "bin" / "python"
