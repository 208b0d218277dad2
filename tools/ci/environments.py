"""The environments that the suite runs in: the one table, read by `.ci/run` and by its test.

Five things can be chosen: the form of the compiled pieces, how much of asyncpg is used, the
server, `python -O`, and the versions of SQLAlchemy and asyncpg. All 48 combinations would take a
day. A bug that needs two levels to meet shows as soon as every *pair* of levels meets in some pass,
and six passes are enough for that. Fewer are not: three versions times two levels of anything else
are six pairs already. Six are enough because the two passes with one version are opposites of each
other in the other four factors, and no two of those factors are equal, or opposite, in all of three
versions. tests/selftest/test_ci_steps.py computes the cover from this table.

So there are three virtual environments, one for each version, with two passes each. `default` is
what most people run, and where nearly every bug shows: it gets the whole suite. Its opposite gets
every function, the two passes of each other version a half of the functions each. They share the
values: each runs in both forms, and on one of the older versions (`steps`).
"""

from __future__ import annotations

from typing import NamedTuple

FACTORS: dict[str, tuple[str, ...]] = {
    "form": ("compiled", "python"),
    "driver": ("private", "public"),
    "server": ("local", "embedded"),
    "optimize": ("plain", "-O"),
    "versions": ("2.1", "2.0", "oldest"),
}


class Versions(NamedTuple):
    """A virtual environment: its Python, and what pip is asked for beside our wheel."""

    python: str
    requirements: tuple[str, ...]


VERSIONS: dict[str, Versions] = {
    "2.1": Versions("3.11", ("sqlalchemy==2.1.*",)),
    # sqlmodel asks for SQLAlchemy before 2.1, so that its tests run here.
    "2.0": Versions("3.12", ("sqlalchemy==2.0.*", "sqlmodel")),
    "oldest": Versions("3.10", ("sqlalchemy==2.0.40", "asyncpg==0.30.0")),
}


class Environment(NamedTuple):
    """One level of each factor; the fields are the keys of FACTORS, in their order."""

    form: str = "compiled"
    driver: str = "private"
    server: str = "local"
    optimize: str = "plain"
    versions: str = "2.1"

    def variables(self) -> dict[str, str]:
        """Return the environment variables that choose all but the versions."""
        chosen = {
            "PGFLIGHT_IMPL": self.form,
            "PGFLIGHT_DRIVER": self.driver,
            "PGFLIGHT_TEST_SERVER": self.server,
        }
        return chosen | ({"PYTHONOPTIMIZE": "1"} if self.optimize == "-O" else {})

    def __str__(self) -> str:
        return ", ".join(self)


PASSES: dict[str, Environment] = {
    "default": Environment("compiled", "private", "local", "plain", "2.1"),
    "opposite": Environment("python", "public", "embedded", "-O", "2.1"),
    "sa20_compiled": Environment("compiled", "private", "embedded", "-O", "2.0"),
    "sa20_python": Environment("python", "public", "local", "plain", "2.0"),
    "oldest_compiled": Environment("compiled", "public", "local", "-O", "oldest"),
    "oldest_python": Environment("python", "private", "embedded", "plain", "oldest"),
}
