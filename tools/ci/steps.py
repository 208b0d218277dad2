"""The steps of `.ci/run` and `.ci/run full`: a table, and for each what it does.

Quick decides a change; full runs all there is. tests/selftest/test_ci_steps.py derives from this
table that full leaves nothing out, and that quick leaves out only what LEFT_OUT names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tools.ci import work
from tools.ci.changes import cache_directory
from tools.ci.environments import PASSES, Environment
from tools.ci.jobs import Job
from tools.ci.suites import QUICK_SCALE, Suite

Work = Callable[[Job], None]

CALM = "not slow and not leak"
# What the pieces and the dialect do; not how they are built, installed and started.
CORE = ("tests/unit", "tests/differential", "tests/parity", "tests/adversity")
REST = ("tests/leaks", "tests/packaging", "tests/selftest", "tests/tracing", "tests/typing")
# Once is enough: start-up hooks in environments of their own, and TLS, which asyncpg speaks. They
# are a tenth of the tests' time.
SAME_EVERYWHERE = (
    "tests/unit/test_activation_hook.py",
    *(f"tests/adversity/test_tls_{part}.py" for part in ("direct", "engine", "libpq", "modes")),
)
COUNTING = "test_memory or test_backend or test_calls or test_waits or test_bursts"

# One level away from the default each: where a whole suite says more than a pair of levels.
EMBEDDED = Environment(server="embedded")
PUBLIC = Environment(driver="public")
OPTIMIZED = Environment(optimize="-O")
SQLALCHEMY_20 = Environment(versions="2.0")
OLDEST = Environment(versions="oldest")

CACHE = (("PGFLIGHT_COMPLIANCE_CACHE", str(cache_directory() / "compliance")),)
# Others use this machine, too: the floors of time are eased; the ceilings of memory and of calls,
# which do not depend on who else runs, are those of a release.
SLACK = (("PGFLIGHT_BENCH_SLACK", "0.8"),)


@dataclass(frozen=True)
class Step:
    """A step: what it does in a quick and in a full run, and what it tests there.

    Where it has neither for one of them, it is no part of it. `needs` names steps before it;
    `built`: quick runs it only for changes in what is built; `alone`: nothing runs beside it.
    """

    name: str
    about: str
    quick: Work | None = None
    full: Work | None = None
    needs: tuple[str, ...] = ()
    quick_suites: tuple[Suite, ...] = ()
    full_suites: tuple[Suite, ...] = ()
    built: bool = False
    alone: bool = False

    def suites(self, full: bool) -> tuple[Suite, ...]:
        """Return what it tests in this kind of run."""
        return self.full_suites if full else self.quick_suites

    def work(self, full: bool) -> Work | None:
        """Return what it does in this kind of run; None where it is no part of it."""
        function, suites = (self.full if full else self.quick), self.suites(full)
        if function is None and not suites:
            return None

        def do(job: Job) -> None:
            if function is not None:
                function(job)
            for number, suite in enumerate(suites):
                suite.run(job, number, forgives=not full)

        return do


def _both(name: str, about: str, function: Work, *needs: str) -> Step:
    return Step(name, about, function, function, needs)


def _tests(
    name: str, about: str, quick: tuple[Suite, ...], full: tuple[Suite, ...], *, alone: bool = False
) -> Step:
    """Return a step that is nothing but tests; it needs the environments of its suites."""
    versions = {suite.environment.versions for suite in (*quick, *full)}
    needs = tuple(f"env-{each}" for each in sorted(versions))
    return Step(name, about, needs=needs, quick_suites=quick, full_suites=full, alone=alone)


def _built(name: str, about: str, quick: Work, full: Work, *needs: str) -> Step:
    return Step(name, about, quick, full, needs, built=True)


def _pass(name: str, *parts: tuple[tuple[str, ...], str]) -> Step:
    """Return the step of a pass of the table: in both kinds of run, a selection of the calm tests.

    That is, of each of the ``parts``, every function in its paths, or those of a half such as
    "1/2", with each value of each parameter, or a share of them such as "1/2:2/2"
    (tests/fixtures/selection.py).
    """
    suites = tuple(
        Suite(
            paths,
            PASSES[name],
            CALM,
            ignore=SAME_EVERYWHERE,
            scale=QUICK_SCALE,
            selection=f"{name}:{half}" if half else name,
        )
        for paths, half in parts
    )
    return _tests(name, str(PASSES[name]), suites, suites)


def _compliance(environment: Environment, keyword: str, *, cached: bool) -> tuple[Suite, ...]:
    variables = CACHE if cached else ()
    paths = ("tests/compliance",)
    return (Suite(paths, environment, keyword=keyword, workers=1, variables=variables),)


def _benchmarks(keyword: str) -> tuple[Suite, ...]:
    options = ("--benchmark-only",)
    return (Suite(("bench",), keyword=keyword, workers=1, options=options, variables=SLACK),)


ENVIRONMENTS = tuple(f"env-{name}" for name in work.ENVIRONMENTS)
# Which builds the extensions anew: the steps `installs` and `debug` run it.
INSTALLED = ("tests/packaging/test_installs.py", "tests/packaging/test_reproducible.py")
BUILDING = (*INSTALLED, "tests/leaks/test_references.py::test_references_level_off[references-")
DEFAULT_SUITE = (Suite((*CORE, *REST), ignore=BUILDING, scale=QUICK_SCALE),)
INSTALLS = (Suite(INSTALLED, workers=2),)
FIRST_MODE = "not python and not public and not unpiped"

STEPS: tuple[Step, ...] = (
    _both("machine", "installs what is missing", work.machine),
    _both("sdist", "what wheels are built from", work.sdist, "machine"),
    *(
        _both(f"env-{name}", f"a wheel, installed beside SQLAlchemy {name}", make, "sdist")
        for name, make in work.ENVIRONMENTS.items()
    ),
    _tests("default", "the suite as most people run it", DEFAULT_SUITE, ()),
    _tests(
        "compliance",
        "SQLAlchemy's own tests",
        _compliance(PASSES["default"], FIRST_MODE, cached=True),
        (),
    ),
    _both("tracers", "spans of what people trace with", work.tracers, "env-2.1", "env-2.0"),
    Step(
        "poolers",
        "a newer pgbouncer",
        work.newer_pgbouncer,
        partial(work.newer_pgbouncer, full=True),
        ("env-2.1",),
    ),
    _both("docs", "the site, and the examples of its pages", work.docs, "env-2.1"),
    # The halves are crossed: each function runs in four environments, once with each line of
    # SQLAlchemy and at both levels of each other factor. Its values are shared by the two on older
    # lines, and by the two of the Python form: both forms meet each value.
    _pass("opposite", (CORE, "1/2:1/2+2/2:2/2")),
    # asyncpg 0.30 may hang by itself where COPY or a pooler is cut off; the level public, which it
    # gets only by hand, does not prevent that
    _pass("oldest_compiled", (CORE[:3], "1/2:1/2")),
    _pass("oldest_python", (CORE[:3], "2/2:1/2"), (CORE[3:], "1/1:1/2")),
    _pass("sa20_python", (CORE, "1/2:2/2")),
    _pass("sa20_compiled", (CORE, "2/2:2/2")),
    _both("static", "ruff, mypy, pyright", work.static, "env-2.1"),
    _tests("gates", "the benchmarks that count", _benchmarks(COUNTING), ()),
    _built(
        "readme", "the README's second command", work.readme_starts, work.readme_full, "machine"
    ),
    Step("installs", "pip", needs=("env-2.1",), quick_suites=INSTALLS, built=True),
    _built("wheels", "checked, and used alone", work.wheels, work.all_wheels, *ENVIRONMENTS),
    _built("no_compiler", "installs without", work.no_compiler, work.no_compiler, "env-2.1"),
    _built("sanitized", "gcc's sanitizers", work.sanitized_pieces, work.sanitized, "env-2.1"),
    _built("debug", "a debug build of CPython", work.references, work.debug, "env-2.1"),
    _tests("oldest", str(OLDEST), (), (Suite(CORE, OLDEST),)),
    _tests("sqlalchemy_20", str(SQLALCHEMY_20), (), (Suite(CORE, SQLALCHEMY_20, "not slow"),)),
    _tests("optimized", str(OPTIMIZED), (), (Suite(CORE[:3], OPTIMIZED, "not slow"),)),
    _tests("embedded", str(EMBEDDED), (), (Suite(("tests",), EMBEDDED, f"db and {CALM}"),)),
    _tests("public", str(PUBLIC), (), (Suite(("tests",), PUBLIC, f"db and {CALM}"),)),
    _tests(
        "compliance_20",
        "SQLAlchemy 2.0's own tests",
        (),
        _compliance(SQLALCHEMY_20, "not public", cached=False),
    ),
    _tests("benchmarks", "all gates", (), _benchmarks(""), alone=True),
)
BY_NAME = {step.name: step for step in STEPS}
