"""Which statements are planned, and that SQLAlchemy's own code serves where it must."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.engine.interfaces import CacheStats, ExecuteStyle

from pgflight.compat import known_code
from pgflight.dialect import PGDialect_asyncpg
from pgflight.dialect.compiler import PGCompiler_asyncpg
from pgflight.dialect.execution_context import PGExecutionContext_asyncpg
from pgflight.parameters import plan
from pgflight.parameters.plan import StatementPlan, UnreadSets, plannable

metadata = sa.MetaData()
table = sa.Table(
    "t", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer)
)


def compiled(statement: Any, dialect: Any = None, **options: Any) -> Any:
    """Compile as an engine does: with the key under which it keeps the result."""
    options.setdefault("cache_key", statement._generate_cache_key())
    return statement.compile(dialect=dialect or PGDialect_asyncpg(), **options)


def made(
    statement: Any,
    parameters: list[Any],
    cls: type[PGExecutionContext_asyncpg] = PGExecutionContext_asyncpg,
) -> Any:
    """Make a context as an engine would, on a connection that does nothing."""
    dialect = PGDialect_asyncpg()
    connection = SimpleNamespace(dialect=dialect)
    dbapi_connection = SimpleNamespace(cursor=lambda: "a cursor")
    return cls._init_compiled(
        dialect, connection, dbapi_connection, {}, statement, parameters, None, None,
        cache_hit=CacheStats.CACHE_HIT,
    )  # fmt: skip


MANY = {"column_keys": ["n"], "for_executemany": True}
SELECT = sa.select(table).where(table.c.n == sa.bindparam("x"))


def test_known_sqlalchemy() -> None:
    assert known_code.unknown_names(known_code.MAKE_CONTEXT, known_code.CONTEXT_NAMES) == set()
    assert known_code.unknown_names(known_code.CONSTRUCT, known_code.CONSTRUCT_NAMES) == set()
    assert known_code.context_is_known()


def test_a_new_name_is_unknown() -> None:
    def function(self: Any) -> Any:
        return [self.parameters for _ in range(self.novelty)]

    known = frozenset({"parameters", "range"})
    assert known_code.unknown_names(function, known) == {"novelty"}
    assert known_code.unknown_names(len, known) is None


def test_an_unknown_sqlalchemy_is_found_at_import() -> None:
    code = (
        "from sqlalchemy.engine.default import DefaultExecutionContext as context\n"
        "make = context._init_compiled.__func__\n"
        "def later(cls, *args, **options):\n"
        "    made = make(cls, *args, **options)\n"
        "    made.novelty = 1\n"
        "    return made\n"
        "context._init_compiled = classmethod(later)\n"
        "from pgflight.parameters import plan\n"
        "print(plan._KNOWN)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "False\n", ran.stderr


def test_all_optimization_levels_know_it() -> None:
    code = "from pgflight.parameters import plan; print(plan._KNOWN)"
    for flag in ("-O", "-OO"):
        ran = subprocess.run([sys.executable, flag, "-c", code], capture_output=True, text=True)
        assert ran.stdout == "True\n", ran.stderr


@pytest.mark.parametrize(
    ("statement", "options", "expected"),
    [
        (SELECT, {}, True),
        (table.insert(), {}, True),
        (table.insert(), {"for_executemany": True}, True),
        (table.insert().returning(table.c.id), MANY, True),
        (table.update().values(n=1), {}, True),
        (sa.select(table).where(table.c.n.in_([1, 2])), {}, True),
        (sa.select(table).where(sa.tuple_(table.c.n, table.c.id).in_([(1, 2)])), {}, False),
        (SELECT.limit(sa.bindparam("l", literal_execute=True)), {}, False),
        (
            sa.select(table).where(table.c.n.in_([1, 2])),
            {"cache_key": None, "compile_kwargs": {"render_postcompile": True}},
            False,
        ),
    ],
)
def test_plannable(statement: Any, options: Any, expected: bool) -> None:
    assert plannable(compiled(statement, **options), PGDialect_asyncpg()) is expected


def test_a_statement_whose_parameters_share_a_name_is_not_planned() -> None:
    one, two = sa.bindparam("x", 1, sa.Integer), sa.bindparam("x", 1, sa.Integer)
    assert not plannable(compiled(sa.select(one, two)), PGDialect_asyncpg())
    assert plannable(compiled(sa.select(one, one + 1)), PGDialect_asyncpg())


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        (table.insert().returning(table.c.id), "insert_executemany_returning"),
        (
            table.insert().returning(table.c.id, sort_by_parameter_order=True),
            "insert_executemany_returning_sort_by_parameter_order",
        ),
        (table.update().returning(table.c.id), "update_executemany_returning"),
        (table.delete().returning(table.c.id), "delete_executemany_returning"),
    ],
)
def test_what_the_dialect_refuses_is_left_to_sqlalchemy(statement: Any, refusal: str) -> None:
    dialect: Any = PGDialect_asyncpg()
    subject = compiled(statement, dialect, **MANY)
    setattr(dialect, refusal, True)
    assert plannable(subject, dialect)
    setattr(dialect, refusal, False)
    assert not plannable(subject, dialect)


def test_a_compiler_that_constructs_by_itself_is_not_planned() -> None:
    class Compiler(PGCompiler_asyncpg):
        def construct_params(self, *args: Any, **options: Any) -> Any:
            return super().construct_params(*args, **options)

    dialect = PGDialect_asyncpg()
    dialect.statement_compiler = Compiler
    assert not plannable(compiled(SELECT, dialect), dialect)


def _shown(context: Any) -> dict[str, Any]:
    """Return every attribute of a context that SQLAlchemy's code or ours has set."""
    sets = context.compiled_parameters
    skipped = ("root_connection", "_dbapi_connection", "dialect")
    return {"sets": sets} | {k: v for k, v in vars(context).items() if k not in skipped}


CASES: dict[str, tuple[Any, list[Any], Any]] = {
    "select": (SELECT, [{"x": 1}], {}),
    "select default": (sa.select(sa.bindparam("x", 5)), [], {}),
    "insert": (table.insert(), [{"n": 1}], {"column_keys": ["n"]}),
    "insert many": (
        table.insert(),
        [{"n": 1}, {"n": 2}],
        MANY,
    ),
    "insert returning": (
        table.insert().returning(table.c.id, sort_by_parameter_order=True),
        [{"n": 1}, {"n": 2}],
        MANY,
    ),
    "supplemental": (
        pg.insert(table).return_defaults(supplemental_cols=[table.c.n]),
        [{"n": 1}],
        {"column_keys": ["n"]},
    ),
    "update": (table.update().where(table.c.id == 5), [{"n": 1}], {"column_keys": ["n"]}),
    "delete many": (
        table.delete().where(table.c.id == sa.bindparam("x")),
        [{"x": 1}, {"x": 2}],
        {"for_executemany": True},
    ),
    "text": (sa.text("SELECT :x"), [{"x": "a"}], {}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_context_has_what_sqlalchemys_has(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    statement, given, options = CASES[name]
    subject = compiled(statement, **options)
    ours = made(subject, given)
    assert plan._PENDING in vars(ours)
    subject.__dict__.pop(plan._PLAN)
    monkeypatch.setattr(plan, "_KNOWN", False)
    stock = made(subject, given)
    assert plan._PENDING not in vars(stock)
    assert subject.__dict__.pop(plan._PLAN) is False
    assert _shown(ours) == _shown(stock)
    assert ours.executemany == stock.executemany


def test_a_class_between_ours_and_sqlalchemys_is_heard() -> None:
    class Between(sa.engine.default.DefaultExecutionContext):
        @classmethod
        def _init_compiled(cls, *args: Any, **options: Any) -> Any:
            made: Any = super()._init_compiled(*args, **options)
            made.between = True
            return made

    class Context(PGExecutionContext_asyncpg, Between):
        pass

    assert made(compiled(SELECT), [{"x": 1}], Context).between


def test_sets_are_made_when_they_are_read_and_stay_what_was_assigned() -> None:
    context = made(compiled(SELECT), [{"x": 1}])
    assert "compiled_parameters" not in vars(context)
    first = context.compiled_parameters
    assert first == [{"x": 1}]
    assert context.compiled_parameters is first
    context.compiled_parameters = other = [{"x": 2}]
    assert context.compiled_parameters is other


def test_a_context_without_sets_says_so_in_pythons_words() -> None:
    context = PGExecutionContext_asyncpg.__new__(PGExecutionContext_asyncpg)
    with pytest.raises(AttributeError) as failure:
        _ = context.compiled_parameters
    assert str(failure.value) == (
        "'PGExecutionContext_asyncpg' object has no attribute 'compiled_parameters'"
    )


def test_unread_sets_are_shown_once_and_can_be_read() -> None:
    many = compiled(table.insert(), **MANY)
    context = made(many, [{"n": 1}, {"n": 2}])
    with UnreadSets.shown_once(context):
        shown = context.compiled_parameters
        assert isinstance(shown, UnreadSets)
        assert "compiled_parameters" not in vars(context)
        assert list(shown) == [{"n": 1}, {"n": 2}] == context.compiled_parameters
        assert (len(shown), shown[1]) == (2, {"n": 2})
    with UnreadSets.shown_once(context):
        assert type(context.compiled_parameters) is list
    unread = made(many, [{"n": 1}, {"n": 2}])
    with UnreadSets.shown_once(unread):
        pass
    assert unread.compiled_parameters == [{"n": 1}, {"n": 2}]


def test_styles() -> None:
    plan = StatementPlan(compiled(table.insert().returning(table.c.id), **MANY))
    assert plan.attributes_of_many["execute_style"] is ExecuteStyle.INSERTMANYVALUES
    plan = StatementPlan(compiled(table.delete(), for_executemany=True))
    assert plan.attributes_of_many == {"execute_style": ExecuteStyle.EXECUTEMANY}
    assert not plan.prefetch
