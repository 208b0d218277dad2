"""Every way of turning pgflight on: which class serves an engine, proved in a process of its own.

The ways that change a whole environment are in test_activation_hook.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.environments import BUILTIN, OURS, SHOW, import_path, run, succeed

ENGINE = "from sqlalchemy.ext.asyncio import create_async_engine as make\n"
URL = "postgresql+asyncpg://scott:tiger@localhost/test"


@pytest.fixture
def path(tmp_path: Path) -> list[str]:
    """Where a new process finds pgflight."""
    return import_path(tmp_path)


def printed(path: list[str], code: str) -> list[str]:
    """Run `code` and return the lines that it prints."""
    return succeed(run(["-c", SHOW + ENGINE + code], path)).splitlines()


def test_nothing_happens_unasked(path: list[str]) -> None:
    assert printed(path, f"import pgflight\nshow(make('{URL}'))") == [BUILTIN]


def test_install_and_uninstall(path: list[str]) -> None:
    code = f"""
import pgflight
from pgflight import install, uninstall
for change in (install, install, uninstall, uninstall, install):
    change()
    show(make('{URL}'))
"""
    assert printed(path, code) == [OURS, OURS, BUILTIN, BUILTIN, OURS]


def test_install_after_the_builtin_dialect_was_used(path: list[str]) -> None:
    code = f"show(make('{URL}'))\nimport pgflight; pgflight.install()\nshow(make('{URL}'))"
    assert printed(path, code) == [BUILTIN, OURS]


def test_install_serves_synchronous_engines_too(path: list[str]) -> None:
    code = f"""
import sqlalchemy, pgflight, warnings
pgflight.install()
warnings.simplefilter('ignore')  # SQLAlchemy 2.0 deprecates the option
show(sqlalchemy.create_engine('{URL}?async_fallback=true'))
"""
    assert printed(path, code) == [f"{OURS}_fallback"]


def test_import_auto(path: list[str]) -> None:
    assert printed(path, f"import pgflight.auto\nshow(make('{URL}'))") == [OURS]


@pytest.mark.parametrize("driver", ["asyncpg", "pgflight"])
@pytest.mark.parametrize("form", ["'{}?plugin=pgflight'", "'{}', plugins=['pgflight']"])
def test_plugin_concerns_one_engine(path: list[str], form: str, driver: str) -> None:
    arguments = form.format(f"postgresql+{driver}://scott:tiger@localhost/test")
    assert printed(path, f"show(make({arguments}))\nshow(make('{URL}'))") == [OURS, BUILTIN]


def test_plugin_leaves_the_rest_of_the_url(path: list[str]) -> None:
    code = f"""
engine = make('{URL}?plugin=pgflight&prepared_statement_cache_size=7')
print(engine.url)
print(engine.url.password)
show(make(engine.url))
"""
    assert printed(path, code) == [
        "postgresql+pgflight://scott:***@localhost/test?prepared_statement_cache_size=7",
        "tiger",
        OURS,
    ]


@pytest.mark.parametrize("driver", ["postgresql+psycopg", "postgresql+psycopg2", "sqlite"])
def test_plugin_refuses_another_driver(path: list[str], driver: str) -> None:
    code = f"""
from sqlalchemy.exc import ArgumentError
try:
    make('{driver}://localhost/test', plugins=['pgflight'])
except ArgumentError as error:
    print(error)
"""
    assert printed(path, code) == [
        f"the pgflight plugin serves postgresql+asyncpg URLs, and this URL names '{driver}': "
        "write postgresql+asyncpg://... or remove the plugin"
    ]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_plugin_serves_a_url_that_names_no_driver(path: list[str], scheme: str) -> None:
    code = f"show(make('{scheme}://localhost/test', plugins=['pgflight']))"
    assert printed(path, code) == [OURS]


def test_url_of_its_own(path: list[str]) -> None:
    code = f"show(make('postgresql+pgflight://localhost/test'))\nshow(make('{URL}'))"
    assert printed(path, code) == [OURS, BUILTIN]


def test_programs_see_the_names_of_the_builtin_dialect(path: list[str]) -> None:
    code = """
dialect = make('postgresql+pgflight://').dialect
print(dialect.name, dialect.driver, type(dialect).__name__)
"""
    assert printed(path, code) == ["postgresql asyncpg PGDialect_asyncpg"]


@pytest.mark.parametrize(("options", "expected"), [(["-p", "pgflight.auto"], OURS), ([], BUILTIN)])
def test_pytest_option(path: list[str], tmp_path: Path, options: list[str], expected: str) -> None:
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "pytest.ini").write_text("[pytest]\n", "utf-8")
    (suite / "test_theirs.py").write_text(
        f"""{ENGINE}
def test_engine():
    served_by = type(make('{URL}').dialect)
    assert f'{{served_by.__module__}}.{{served_by.__name__}}' == '{expected}'
""",
        "utf-8",
    )
    done = run(["-m", "pytest", *options, "-p", "no:cacheprovider", str(suite)], path)
    assert "1 passed" in succeed(done)
