"""How it is noticed that somebody watches asyncpg: marks, which compare where Python has no bit."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from functools import wraps
from typing import Any
from unittest import mock

import asyncpg
import pytest

from pgflight import driver
from pgflight.driver.watching import marks, names, replaced
from pgflight.driver.watching.marks import VALID

METHODS = [
    (cls, name)
    for cls, listed in (
        ("Connection", names.CONNECTION),
        ("Transaction", names.TRANSACTION),
        ("PreparedStatement", names.STATEMENT),
        ("CursorFactory", names.FACTORY),
        ("Cursor", names.CURSOR),
        ("Protocol", names.PROTOCOL),
    )
    for name in listed
]
NOTICING = """
    import importlib.util, sys
    from pathlib import Path
    import pgflight

    if {compared}:
        path = Path(pgflight.__file__).parent / "driver" / "watching" / "marks.py"
        spec = importlib.util.spec_from_file_location("pgflight.driver.watching.marks", path)
        marks = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = marks
        spec.loader.exec_module(marks)
        marks.WORKS = False

    import asyncpg
    from pgflight import driver
    from pgflight.driver.watching import names, watch
    from tests.unit.test_watching import METHODS

    assert watch.marks.WORKS == (not {compared} and sys.version_info < (3, 13))

    class Derived(asyncpg.Connection):
        __slots__ = ()

    def connection(cls):
        made = cls.__new__(cls)
        made._protocol, made._aborted, made._query_loggers = None, True, set()
        return made

    watches = [driver.Watch(connection(cls)) for cls in (asyncpg.Connection, Derived)]
    held = [connection(asyncpg.Connection)]

    def quiet(each):
        '''Ask as the hot paths do.'''
        flags = each.mark.__flags__ & watch.TRANSACTION.__flags__ & watch.PROTOCOL.__flags__
        return bool(flags & watch.VALID) and not (watch.State.any or each.odd)

    for owner, name in METHODS:
        cls = names.CLASSES[owner]
        own = cls.__dict__.get(name)
        if not hasattr(cls, name):
            continue
        for each in watches:
            assert quiet(each) and each.by() is None, (owner, name)
        setattr(cls, name, lambda *arguments: None)
        noticed = owner in ("Connection", "Transaction", "Protocol")
        for each in watches:
            assert not (noticed and quiet(each)), (owner, name)
            assert each.by() == "__main__", (owner, name)
            assert not quiet(each)
        delattr(cls, name) if own is None else setattr(cls, name, own)
        for each in watches:
            assert each.by() is None, (owner, name)
            assert quiet(each), (owner, name)
    print("noticed")
"""


@pytest.mark.parametrize("compared", [False, True], ids=["as here", "compared"])
def test_each_method_that_is_replaced_is_noticed(compared: bool) -> None:
    script = textwrap.dedent(NOTICING).replace("{compared}", str(compared))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "noticed", done.stderr[-2000:]


def test_a_mark_is_not_renewed_by_use_of_its_base() -> None:
    class Base:
        __slots__ = ()

        def method(self) -> int:
            return 1

    for make in (marks.marked, lambda base: marks.compared((base, ("method",)))):
        mark = make(Base)
        assert mark.__flags__ & VALID or not marks.WORKS
        Base.method = lambda self: 2  # type: ignore[method-assign]
        for _ in range(3):
            assert Base().method() == 2
            assert not mark.__flags__ & VALID
        marks.renew(mark)
        assert mark.__flags__ & VALID or not marks.WORKS


def test_a_comparison_is_by_identity() -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 0

    class Base:
        method: Any = Equal()

    mark = marks.compared((Base, ("method", "missing")))
    assert mark.__flags__ & VALID
    Base.method = Equal()
    assert not mark.__flags__ & VALID


def imitated(function: Any) -> Any:
    @wraps(function)
    def wrapper(*arguments: Any) -> Any:
        return function(*arguments)

    return wrapper


@pytest.mark.parametrize(
    ("wrap", "by"),
    [
        (imitated, __name__),
        (mock.create_autospec, "a function of no module"),
        (lambda _: mock.MagicMock(), "unittest.mock.MagicMock"),
        (staticmethod, "builtins.staticmethod"),
    ],
)
def test_who_replaced_a_method_is_named(
    wrap: Any, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncpg.Connection, "execute", wrap(asyncpg.Connection.execute))
    assert driver.watchers()["asyncpg.Connection.execute"] == by


def test_asyncpgs_own_decorators_are_not_watchers() -> None:
    for owner, name in METHODS:
        assert replaced.replaced(names.CLASSES[owner], [name]) == {}
    assert replaced.is_own(asyncpg.connect)
