"""What the steps do that are more than a run of tests; `steps` says which is called when."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tools.ci import machine as the_machine
from tools.ci.environments import VERSIONS
from tools.ci.jobs import Job, LeftOut
from tools.ci.pgbouncer import following_pgbouncer
from tools.ci.suites import QUICK_SCALE, Suite, python_of

DEFAULT = "2.1"
RELEASED = ("3.10", "3.11", "3.12", "3.13")
# Not what earlier builds have left in it, which setuptools would take for its own.
_BUILT = shutil.ignore_patterns(
    ".venv", ".git", "build", "dist", "*.so", "*.c", "*.egg-info", "__pycache__", ".*_cache"
)
# The tests of the compiled pieces by themselves, for a look under a sanitizer that takes minutes.
PIECES = tuple(
    f"tests/unit/test_{name}.py"
    for name in (
        *("jsondecode", "jsonencode", "params", "processors", "receiving", "results"),
        *("rows", "stmtcache", "tags", "uuids", "value_codecs"),
    )
)
POOLER_TESTS = (
    *(f"tests/adversity/test_{name}.py" for name in ("followed_names", "pgbouncer", "poolers")),
    *("tests/adversity/test_pooler_grid.py", "tests/adversity/test_listening_poolers.py"),
    "tests/adversity/test_doctor.py",
)


def copy_tree(job: Job, name: str) -> Path:
    """Copy the tree into a directory of this run and return it."""
    tree = job.scratch / name
    shutil.copytree(job.root, tree, symlinks=True, ignore=_BUILT)
    (tree / "src" / "pgflight" / "_speedups").unlink(missing_ok=True)  # a developer's link
    return tree


def machine(job: Job) -> None:
    """Install what is missing on this machine."""
    # In a process of its own, whose output is the log's.
    call = "import sys; from tools.ci.machine import prepare; prepare(sys.argv[1:])"
    job.call(sys.executable, "-c", call, *RELEASED)


def sdist(job: Job) -> None:
    """Build the sdist that every wheel is built from."""
    job.call(
        the_machine.interpreter(VERSIONS[DEFAULT].python), "-m", "venv", _tools(job).parents[1]
    )
    packages = ("auditwheel", "build", "check-wheel-contents", "twine")
    job.call(_tools(job), "-m", "pip", "install", "-q", *packages)
    job.call(
        _tools(job), "-m", "build", "--sdist", "--outdir", _wheels(job), copy_tree(job, "sdist")
    )


def _tools(job: Job) -> Path:
    return job.scratch / "env-build" / "bin" / "python"


def _wheels(job: Job) -> Path:
    return job.scratch / "wheels"


def _environment(name: str) -> Callable[[Job], None]:
    versions = VERSIONS[name]

    def make(job: Job) -> None:
        directory = job.scratch / f"env-{name}"
        job.call(the_machine.interpreter(versions.python), "-m", "venv", directory)
        pip = (python_of(job, name), "-m", "pip")
        job.call(*pip, "install", "-q", "--upgrade", "pip")
        (source,) = _wheels(job).glob("*.tar.gz")
        # The one build for this interpreter: the other steps take the wheel from here.
        build = ("wheel", "-q", "--no-deps", "--no-cache-dir", "--wheel-dir", _wheels(job), source)
        job.call(*pip, *build, environment={"PGFLIGHT_REQUIRE_EXTENSIONS": "1"})
        tag = f"cp{versions.python.replace('.', '')}"
        (wheel,) = _wheels(job).glob(f"pgflight-*-{tag}-{tag}-*.whl")
        job.call(*pip, "install", "-q", f"{wheel}[test]", *versions.requirements)

    return make


def wheels(job: Job) -> None:
    """Check the wheels of the environments, install each alone, and have it do real work."""
    _use_wheels(job, *(versions.python for versions in VERSIONS.values()))


def all_wheels(job: Job) -> None:
    """Do the same with a wheel for each interpreter of a release."""
    _use_wheels(job, *RELEASED)


def _use_wheels(job: Job, *versions: str) -> None:
    pythons = map(the_machine.interpreter, versions)
    command = ("tools/wheels.py", "--url", "{url}", "--reuse", "--output", _wheels(job))
    _with_server(job, _tools(job), *command, *pythons)


def _with_server(job: Job, *command: str | Path) -> None:
    job.call(python_of(job, DEFAULT), "tools/with_server.py", "local", "--", *command)


def tracers(job: Job) -> None:
    """Compare the spans of real tracers, on each line of SQLAlchemy in an environment of its own.

    In that nothing but the tracers is installed: they patch whatever they find.
    """
    for name in ("2.1", "2.0"):
        versions = VERSIONS[name]
        directory = job.scratch / f"env-tracing-{name}"
        job.call(the_machine.interpreter(versions.python), "-m", "venv", directory)
        python = directory / "bin" / "python"
        tag = f"cp{versions.python.replace('.', '')}"
        (wheel,) = _wheels(job).glob(f"pgflight-*-{tag}-{tag}-*.whl")
        job.call(python, "-m", "pip", "install", "-q", "--upgrade", "pip")
        line = versions.requirements[0]
        job.call(python, "-m", "pip", "install", "-q", f"{wheel}[tracing]", line)
        tests = ("-m", "pytest", "tests/tracing/packages")
        variables = {"PGFLIGHT_TRACING_PYTHON": str(python)}
        job.attempt(python_of(job, DEFAULT), *tests, environment=variables)


def newer_pgbouncer(job: Job, *, full: bool = False) -> None:
    """Test with a pgbouncer that follows names; LeftOut where none can be built."""
    built = following_pgbouncer()
    if built is None:
        raise LeftOut("no sources of a newer pgbouncer, or no way to build them")
    directory = job.scratch / "pgbouncer"  # where the account that it runs as may read
    directory.mkdir()
    shutil.copy2(built / "pgbouncer", directory)
    path = f"{directory}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    scale = "1" if full else QUICK_SCALE
    suite = Suite(POOLER_TESTS, scale=scale, workers=2, variables=(("PATH", path),))
    suite.run(job, 0, forgives=not full)


def docs(job: Job) -> None:
    """Build the site with warnings as errors, and run the examples that need more packages.

    These are in an environment of their own: SQLModel asks for SQLAlchemy before 2.1.
    """
    versions = VERSIONS[DEFAULT]
    directory = job.scratch / "env-docs"
    job.call(the_machine.interpreter(versions.python), "-m", "venv", directory)
    python = directory / "bin" / "python"
    tag = f"cp{versions.python.replace('.', '')}"
    (wheel,) = _wheels(job).glob(f"pgflight-*-{tag}-{tag}-*.whl")
    job.call(python, "-m", "pip", "install", "-q", "--upgrade", "pip")
    job.call(python, "-m", "pip", "install", "-q", f"{wheel}[docs]")
    install = "from tools.ci import machine; machine.prepare_postgis(); machine.prepare_browser()"
    job.call(sys.executable, "-c", install)  # for one of the examples, and a look at each page
    variables = {"PGFLIGHT_DOCS_PYTHON": str(python)}
    tests = ("-m", "pytest", "tests/packaging/docs_site")
    job.attempt(python_of(job, DEFAULT), *tests, environment=variables)


ENVIRONMENTS = {name: _environment(name) for name in VERSIONS}


def static(job: Job) -> None:
    """Run the linters and type checkers, whichever of them fails."""
    # An install maps src/_speedups into the package; in a bare tree the checkers need a link.
    tree = copy_tree(job, "static")
    (tree / "src" / "pgflight" / "_speedups").symlink_to(Path("..") / "_speedups")
    python = python_of(job, DEFAULT)
    for tool in (
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy", "-p", "pgflight"),
        ("mypy", "tests", "bench", "tools"),
        ("pyright", "--pythonpath", str(python)),
    ):
        job.attempt(python, "-m", *tool, directory=tree)


def readme_starts(job: Job) -> None:
    """Run the README's second command on a few tests: does it install and run from a clone?"""
    few = ("--", "tests/unit/test_impl.py", "tests/parity/test_orm.py")
    job.call(sys.executable, "tools/check.py", "--venv", job.scratch / "env-readme", *few)


def readme_full(job: Job) -> None:
    """Run the README's second command with all there is."""
    job.call(sys.executable, "tools/check.py", "--venv", job.scratch / "env-readme", "--full")


def sanitized(job: Job) -> None:
    """Run the tests of the pieces under gcc's sanitizers."""
    job.call(python_of(job, DEFAULT), "-m", "tools.sanitize")


def sanitized_pieces(job: Job) -> None:
    """Run the unit tests of the pieces under gcc's sanitizers."""
    job.call(python_of(job, DEFAULT), "-m", "tools.sanitize", *PIECES)


def debug(job: Job) -> None:
    """Run the tests of the pieces in a debug build of CPython, and count references there."""
    references(job)
    job.attempt(python_of(job, DEFAULT), "-m", "tools.debug")


def references(job: Job) -> None:
    """Count the references that each piece keeps in a debug build, which checks itself as well."""
    version = VERSIONS[DEFAULT].python
    install = (
        "import sys; from tools.ci.machine import prepare_debug_build as prepare;"
        " prepare(sys.argv[1])"
    )
    job.call(sys.executable, "-c", install, version)
    if not the_machine.has_debug_build(version):
        raise LeftOut(f"no debug build of Python {version} is installed, nor installable here")
    counting = ("tests/leaks/test_references.py", "-k", "references-")
    job.attempt(python_of(job, DEFAULT), "-m", "pytest", *counting)


def no_compiler(job: Job) -> None:
    """Install where there is no compiler, and do real work with what that gives."""
    environment = job.scratch / "env-plain"
    tree = copy_tree(job, "plain")
    job.call(the_machine.interpreter(VERSIONS[DEFAULT].python), "-m", "venv", environment)
    python = environment / "bin" / "python"
    pip = (python, "-m", "pip", "install", "-q", "--no-cache-dir", tree)
    job.call(*pip, environment={"CC": "/bin/false"})
    _with_server(job, python, "tools/smoke.py", "{url}", "python")
