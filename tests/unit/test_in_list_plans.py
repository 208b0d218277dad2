"""Which IN lists become an array, what their texts are, and what of them stays SQLAlchemy's."""

from __future__ import annotations

import decimal
import gc
import threading
import uuid
import weakref
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, UserDefinedType

from pgflight import PgflightWarning
from pgflight.compat import known_code
from pgflight.dialect import PGDialect_asyncpg
from pgflight.dialect.compiler import PGCompiler_asyncpg
from pgflight.options.url import prepare_connect_kwargs
from pgflight.parameters import in_lists
from pgflight.parameters.in_list_texts import LONGEST_KEPT, TEXTS_KEPT, is_nested
from pgflight.sqltext.side_effects import is_side_effect_free


class Doubled(TypeDecorator[int]):
    """A number that is bound as twice as much."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Any) -> int | None:
        return None if value is None else value * 2


class Point(UserDefinedType[Any]):
    """A type of a program's own."""

    cache_ok = True

    def get_col_spec(self, **options: Any) -> str:
        return "POINT"


class Upper(sa.Text):
    """Text that SQL makes upper case on its way in."""

    def bind_expression(self, bindvalue: Any) -> Any:
        return sa.func.upper(bindvalue)


class equation(FunctionElement[bool]):
    """A comparison that a program writes by itself, without brackets."""

    inherit_cache = True
    type = sa.Boolean()


@compiles(equation)
def _equation(element: Any, compiler: Any, **options: Any) -> str:
    left, right = element.clauses
    return f"{compiler.process(left, **options)} = {compiler.process(right, **options)}"


metadata = sa.MetaData()
t = sa.Table(
    "t",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("s", sa.String(5)),
    sa.Column("b", sa.Boolean),
    sa.Column("d", pg.JSONB),
    sa.Column("twice", Doubled),
)
TEN = list(range(10))


def compiled(statement: Any, **options: Any) -> Any:
    return statement.compile(dialect=PGDialect_asyncpg(**options))


def expanded(statement: Any, given: Any = None, **options: Any) -> Any:
    return compiled(statement, **options).construct_expanded_state(given, escape_names=False)


def where(criterion: Any, given: Any = None, **options: Any) -> str:
    """Return what follows WHERE, for an execution."""
    text: str = expanded(sa.select(t.c.id).where(criterion), given, **options).statement
    return " ".join(text.split()).partition(" WHERE ")[2]


def test_known_sqlalchemy() -> None:
    assert known_code.unknown_names(known_code.EXPAND, known_code.EXPAND_NAMES) == set()
    assert known_code.expansion_is_known()


def test_an_unknown_sqlalchemy_fills_all_lists_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_lists, "_KNOWN", False)
    assert where(t.c.id.in_(TEN)).count("::INTEGER") == 10


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "t.id IN (NULL) AND (1 != 1)"),
        (1, "t.id IN ($1::INTEGER)"),
        (2, "t.id IN ($1::INTEGER, $2::INTEGER)"),
        (9, "t.id IN ({})".format(", ".join(f"${n}::INTEGER" for n in range(1, 10)))),
        (10, "t.id = ANY ($1::INTEGER[])"),
        (127, "t.id = ANY ($1::INTEGER[])"),
        (128, "t.id = ANY (CAST($1 AS INTEGER[]))"),
        (50_000, "t.id = ANY (CAST($1 AS INTEGER[]))"),
    ],
)
def test_lengths(size: int, text: str) -> None:
    state = expanded(sa.select(t.c.id).where(t.c.id.in_(range(size))))
    assert state.statement.endswith(f"WHERE {text}")
    values = list(range(size))
    assert list(state.positional_parameters) == ([values] if size > 9 else values)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "(t.id NOT IN (NULL) OR (1 = 1))"),
        (1, "(t.id NOT IN ($1::INTEGER))"),
        (10, "(t.id != ALL ($1::INTEGER[]))"),
    ],
)
def test_lengths_of_not_in(size: int, text: str) -> None:
    assert where(t.c.id.not_in(range(size))) == text
    assert where(~t.c.id.in_(range(size))) == text


@pytest.mark.parametrize(
    ("threshold", "arrays"), [(1, (1, 2, 10)), (2, (2, 10)), (11, ()), (0, ()), (None, ())]
)
def test_threshold(threshold: int | None, arrays: tuple[int, ...]) -> None:
    for size in (0, 1, 2, 10):
        text = where(t.c.id.in_(range(size)), in_array_threshold=threshold)
        assert ("= ANY" in text) is (size in arrays)


def test_without_a_threshold_nothing_is_planned() -> None:
    assert compiled(sa.select(t).where(t.c.id.in_([1]))).in_lists is not None
    assert compiled(sa.select(t).where(t.c.id.in_([1])), in_array_threshold=0).in_lists is None
    assert compiled(sa.select(t)).in_lists is None


GATE: list[tuple[Any, Any, str | None]] = [
    (sa.Integer(), 1, "INTEGER[]"),
    (sa.BigInteger(), 1, "BIGINT[]"),
    (sa.String(5), "a", "VARCHAR[]"),
    (sa.Text(), "a", "VARCHAR[]"),
    (sa.Integer(), 2**24, "INTEGER[]"),
    (sa.BigInteger(), -(2**24), "BIGINT[]"),
    (sa.SmallInteger(), 2**15, "SMALLINT[]"),
    (sa.String(), "é" * 31, "VARCHAR[]"),
    (sa.DateTime(timezone=True), None, "TIMESTAMP WITH TIME ZONE[]"),
    (sa.DateTime(), None, "TIMESTAMP WITHOUT TIME ZONE[]"),
    (pg.INTERVAL(precision=3), None, "INTERVAL (3)[]"),
    (sa.Float(), 1.5, "FLOAT[]"),
    (pg.DOUBLE_PRECISION(53), 1.5, "FLOAT(53)[]"),
    (sa.Uuid(), uuid.UUID(int=1), "UUID[]"),
    (sa.Enum("a", "b", name="My Enum", schema="my schema"), "a", '"my schema"."My Enum"[]'),
    (sa.Enum("a", "b", native_enum=False), "a", None),
    (pg.JSONB(), 1, "JSONB[]"),
    (pg.INT4RANGE(), pg.Range(1, 2), "INT4RANGE[]"),
    (Doubled(), 1, "INTEGER[]"),
    # compared in another way than IN does, if the column has another type than the Table says
    (sa.Integer(), 2**24 + 1, None),
    (sa.BigInteger(), -(2**24) - 1, None),
    (sa.String(), "é" * 32, None),
    (sa.Numeric(10, 2), 1, None),
    (pg.TEXT(), "a", "VARCHAR[]"),
    (sa.CHAR(5), "a ", "VARCHAR[]"),
    # without a cast the server guesses each parameter's type from the other side
    (pg.INET(), "::1", None),
    (pg.CITEXT(), "a", None),
    (sa.ARRAY(sa.Integer), [1], None),
    (pg.INT4MULTIRANGE(), [pg.Range(1, 2)], None),
    (pg.BIT(3), None, None),
    (pg.HSTORE(), {}, None),
    (sa.types.NULLTYPE, 1, None),
    (Upper(), "a", None),
    (Point(), None, None),
]


@pytest.mark.parametrize(("kind", "value", "text"), GATE, ids=lambda v: str(v)[:20])
def test_types(kind: Any, value: Any, text: str | None) -> None:
    column = sa.column("x", kind)
    for size in (2, 10):
        values = sa.bindparam("v", [value] * size, expanding=True, type_=kind)
        filled = where(column.in_(values))
        usual = where(column.in_(values), in_array_threshold=None)
        if text is not None and size == 10:
            assert filled == f"x = ANY ($1::{text})"
        else:
            assert filled == usual
        assert (
            is_side_effect_free(f"SELECT 1 WHERE {filled}")
            is is_side_effect_free(f"SELECT 1 WHERE {usual}")
            is True
        )


@pytest.mark.parametrize("kind", [sa.Numeric(10, 2), sa.Integer(), sa.BigInteger()])
def test_a_cast_on_the_left_proves_the_type(kind: Any) -> None:
    """Then there is nothing to be converted, whatever the column is."""
    values = [2**30] * 12
    cast = sa.cast(sa.column("x", sa.Float), kind)
    other = sa.cast(sa.column("x"), sa.Float)
    bind = sa.bindparam("v", values, type_=kind, expanding=True)
    assert " = ANY ($1::" in where(cast.in_(bind))
    assert " = ANY " not in where(other.in_(bind))
    assert " = ANY " not in where(cast.in_(bind) & sa.column("x", kind).in_(bind))


def test_lists_too_long_for_a_message_are_arrays() -> None:
    """The built-in dialect has only an error for them."""
    kinds: list[tuple[Any, Any]] = [
        (sa.Numeric(), decimal.Decimal(1)),
        (sa.Integer(), 2**30),
        (sa.String(), "x" * 80),
    ]
    for kind, value in kinds:
        column = sa.column("x", kind)
        assert " = ANY (" not in where(column.in_([value] * 300))
        assert " = ANY (" in where(column.in_([value] * 32768))


LEFT: list[tuple[Any, bool]] = [
    (t.c.id + 1, True),
    (t.c.s.concat("x"), True),
    (sa.func.lower(t.c.s), True),
    (sa.cast(t.c.s, sa.Text), True),
    (t.c.s.collate("C"), True),
    (t.c.d["a"].astext, True),
    (t.c.d[("a", "b")].astext, True),
    (sa.case((t.c.b, "x"), else_=t.c.s), True),
    (sa.select(sa.func.max(t.c.id)).scalar_subquery(), True),
    (t.c.id == 1, True),
    (t.c.s.like("x"), True),
    (t.c.s.op("||")("x"), True),
    (t.c.s.op("=")("x"), False),
    (t.c.s.op("=", precedence=9)("x"), False),
    (t.c.s.op("IS DISTINCT FROM", precedence=9)("x"), False),
    (sa.literal_column("id", sa.Integer), True),
    (sa.literal_column("t.id", sa.Integer), True),
    (sa.literal_column("a = b", sa.Boolean), False),
    (sa.type_coerce(sa.text("a < b"), sa.Boolean), False),
    (equation(t.c.id, t.c.id), False),
]


@pytest.mark.parametrize(("left", "tight"), LEFT, ids=lambda v: " ".join(str(v).split())[:40])
def test_left_of_it(left: Any, tight: bool) -> None:
    """Where "=" might take another part of the text for its left side, the list stays."""
    values: Any = [True, False] * 5 if isinstance(left.type, sa.Boolean) else ["1"] * 10
    if isinstance(left.type, sa.Integer):
        values = TEN
    assert ("= ANY" in where(left.in_(values))) is tight
    assert ("!= ALL" in where(left.not_in(values))) is tight


AROUND: list[tuple[Any, bool]] = [
    (lambda listed: listed & t.c.b, True),
    (lambda listed: t.c.b | listed, True),
    (lambda listed: sa.not_(sa.or_(t.c.b, listed)), True),
    (lambda listed: listed == t.c.b, True),
    (lambda listed: t.c.b == listed, True),
    (lambda listed: listed.is_(None), True),
    (lambda listed: sa.func.coalesce(listed, t.c.b), True),
    (lambda listed: sa.case((listed, t.c.b)), True),
    (lambda listed: t.c.b.op("=")(listed), False),
    (lambda listed: listed.op("=")(t.c.b), False),
    (lambda listed: equation(t.c.b, listed), False),
    (lambda listed: equation(listed, t.c.b), False),
]


@pytest.mark.parametrize("number", range(len(AROUND)))
def test_around_it(number: int) -> None:
    around, fits = AROUND[number]
    text = where(around(t.c.id.in_(TEN)))
    assert ("= ANY" in text) is fits
    if fits:
        array, listed = "t.id = ANY ($1::INTEGER[])", "t.id IN ({})"
        kept = where(around(t.c.id.in_([1])))
        assert text.replace(array, listed.format("$1::INTEGER")) == kept


def test_everywhere_or_nowhere() -> None:
    """A list that stands in two places is an array only where both allow it."""
    listed = sa.bindparam("x", TEN, expanding=True, type_=sa.Integer)
    both = where(sa.or_(t.c.id.in_(listed), t.c.twice.not_in(listed)))
    assert both == "t.id = ANY ($1::INTEGER[]) OR (t.twice != ALL ($1::INTEGER[]))"
    one = where(sa.or_(t.c.id.in_(listed), sa.func.f(listed)))
    assert "ANY" not in one
    text = sa.text("id IN :x").bindparams(listed)
    assert "ANY" not in where(sa.or_(t.c.id.in_(listed), text))
    assert where(text).count("::INTEGER") == 10


def test_names() -> None:
    """A column's and a parameter's name may be anything; elements take no other's name."""
    odd = sa.column("a.b (c)%", sa.Integer)
    state = expanded(sa.select(t.c.id).where(odd.in_(TEN), odd.not_in([7]), odd != 3))
    assert state.statement.endswith(
        '"a.b (c)%" = ANY ($2::INTEGER[]) '
        'AND ("a.b (c)%" NOT IN ($3::INTEGER)) AND "a.b (c)%" != $1::INTEGER'
    )
    assert state.positional_parameters == (3, TEN, 7)
    if not hasattr(PGCompiler_asyncpg, "_expanded_bind_names_reserved"):
        return  # SQLAlchemy 2.0.40 mixes such names up
    x, x_1 = (sa.bindparam(n, type_=sa.Integer, expanding=n == "x") for n in ("x", "x_1"))
    statement = sa.select(t.c.id).where(t.c.id.in_(x), t.c.id != x_1)
    for size in (1, 9, 10):
        given: Any = {"x": list(range(size)), "x_1": -1}
        values = expanded(statement, given).positional_parameters
        assert values == (-1, *given["x"]) if size < 10 else (-1, given["x"])


def test_rows_are_left_to_sqlalchemy() -> None:
    pairs = sa.tuple_(t.c.id, t.c.id).in_([(1, 2)] * 10)
    made = compiled(sa.select(t).where(pairs, t.c.id.in_(TEN)))
    assert made.in_lists is None
    assert "ANY" not in made.construct_expanded_state().statement


def test_values_rendered_for_each_execution_are_left_to_sqlalchemy() -> None:
    limit = sa.bindparam("n", 3, literal_execute=True, type_=sa.Integer)
    made = compiled(sa.select(t.c.id).where(t.c.id.in_(TEN)).limit(limit))
    assert made.in_lists is None
    assert made.construct_expanded_state().statement.count("::INTEGER") == 10


def test_compiled_text_stays() -> None:
    """What shows a statement without executing it, shows what SQLAlchemy's dialect shows."""
    statement = sa.select(t.c.id).where(t.c.id.in_(TEN))
    dialect = PGDialect_asyncpg()
    assert str(statement.compile(dialect=dialect)).endswith("t.id IN (__[POSTCOMPILE_id_1])")
    literal = statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    assert str(literal).endswith("t.id IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)")
    rendered = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    assert str(rendered).count("::INTEGER") == 10
    check = sa.CheckConstraint(t.c.id.in_(TEN), name="c")
    table = sa.Table("u", sa.MetaData(), sa.Column("id", sa.Integer), check)
    assert "ANY" not in str(sa.schema.CreateTable(table).compile(dialect=dialect))


def test_each_text_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, ...]] = []
    write = in_lists._write

    def noted(made: Any, lists: Any, shape: Any, arrays: Any) -> Any:
        written.append(shape)
        return write(made, lists, shape, arrays)

    monkeypatch.setattr(in_lists, "_write", noted)
    x, y = (sa.bindparam(n, expanding=True, type_=sa.Integer) for n in "xy")
    made = compiled(sa.select(t.c.id).where(t.c.id.in_(x), t.c.id.not_in(y)))
    for first, second in [(1, 2), (3, 12), (1, 2), (3, 127), (3, 128), (3, 999), (0, 0), (0, 0)]:
        state = made.construct_expanded_state({"x": range(first), "y": range(second)})
        assert len(state.positional_parameters) == first + (1 if second > 9 else second)
    assert written == [(1, 2), (3, -1), (3, -2), (0, 0)]


def test_kept_texts_are_bounded() -> None:
    listed = sa.bindparam("x", expanding=True, type_=sa.Integer)
    made = compiled(sa.select(t.c.id).where(t.c.id.in_(listed)), in_array_threshold=10_000)
    for size in (*range(TEXTS_KEPT + 40), LONGEST_KEPT + 1):
        state = made.construct_expanded_state({"x": range(size)})
        assert len(state.positional_parameters) == size
    assert len(made.in_lists._texts) == TEXTS_KEPT
    assert (LONGEST_KEPT + 1,) not in made.in_lists._texts


@pytest.mark.parametrize(
    "given",
    [set(TEN), dict.fromkeys(TEN).keys(), range(10), tuple(TEN), (n for n in TEN), frozenset(TEN)],
    ids=lambda given: type(given).__name__,
)
def test_kinds_of_lists(given: Any) -> None:
    listed = sa.bindparam("x", expanding=True, type_=sa.Integer)
    state = expanded(sa.select(t.c.id).where(t.c.id.in_(listed)), {"x": given})
    assert state.positional_parameters == (TEN,)


@pytest.mark.parametrize("given", [None, [], (), range(0)], ids=str)
def test_nothing_is_an_empty_list(given: Any) -> None:
    listed = sa.bindparam("x", expanding=True, type_=sa.Integer)
    assert where(t.c.id.in_(listed), {"x": given}) == "t.id IN (NULL) AND (1 != 1)"


def test_elements_that_would_make_an_array_of_arrays() -> None:
    """One element at a time the driver refuses them; it must not come to mean their elements."""
    assert where(t.c.id.in_([[1, 2]] * 10)).count("::INTEGER") == 10
    assert is_nested([[1]]) and is_nested([(1, 2)]) and is_nested([{1}])
    flat: list[Any] = [[], [1, [2]], ["ab"], [b"ab"], [None], [uuid.UUID(int=1)]]
    assert not any(is_nested(values) for values in flat)


def test_a_list_is_a_copy() -> None:
    values = list(TEN)
    state = expanded(sa.select(t.c.id).where(t.c.id.in_(sa.bindparam("x", values, expanding=True))))
    values.clear()
    assert state.positional_parameters == (TEN,)


def test_elements_are_processed() -> None:
    for size in (3, 10):
        state = expanded(sa.select(t.c.id).where(t.c.twice.in_(range(size))))
        sent = [state.processors[n](state.parameters[n]) for n in state.positiontup]
        values = [2 * n for n in range(size)]
        assert sent == ([values] if size == 10 else values)


@pytest.mark.parametrize(
    "name", ["_process_parameters_for_postcompile", "_literal_execute_expanding_parameter"]
)
def test_a_program_s_own_compiler_fills_in_by_itself(name: str) -> None:
    def filled(self: Any, *positional: Any, **options: Any) -> Any:
        return getattr(super(cls, self), name)(*positional, **options)

    cls: Any = type("Compiler", (PGCompiler_asyncpg,), {name: filled})
    dialect = PGDialect_asyncpg()
    dialect.statement_compiler = cls
    made: Any = sa.select(t.c.id).where(t.c.id.in_(TEN)).compile(dialect=dialect)
    assert made.in_lists is None
    assert made.construct_expanded_state().statement.count("::INTEGER") == 10


def test_a_statement_is_freed_at_once() -> None:
    """What is kept for it does not keep it: nothing is left for the garbage collector."""
    made = compiled(sa.select(t.c.id).where(t.c.id.in_(TEN)))
    assert made.construct_expanded_state().positional_parameters == (TEN,)
    freed = weakref.ref(made)
    gc.disable()
    try:
        del made
        assert freed() is None
    finally:
        gc.enable()


def test_threads_share_a_statement() -> None:
    listed = sa.bindparam("x", expanding=True, type_=sa.Integer)
    made = compiled(sa.select(t.c.id).where(t.c.id.in_(listed), t.c.id != 5))
    texts = {
        size: made.construct_expanded_state({"x": range(size)}).statement for size in range(12)
    }
    made.in_lists._texts.clear()
    wrong: list[int] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for turn in range(400):
            size = turn % 12
            if size == 0:
                made.in_lists._texts.clear()
            state = made.construct_expanded_state({"x": range(size)})
            if state.statement != texts[size]:
                wrong.append(size)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("query", "arguments", "expected"),
    [
        ("", {}, 10),
        ("in_array_threshold=25", {}, 25),
        ("in_array_threshold=0", {}, 0),
        ("in_array_threshold=none", {}, 0),
        ("in_array_threshold=25", {"in_array_threshold": 3}, 3),
        ("in_array_threshold=25", {"in_array_threshold": None}, 0),
        ("", {"in_array_threshold": "7"}, 7),
    ],
)
def test_places_of_the_option(query: str, arguments: dict[str, Any], expected: int) -> None:
    url = sa.make_url(f"postgresql+pgflight://u@h/db?{query}")
    engine: Any = create_async_engine(url, **arguments)
    assert engine.dialect.in_array_threshold == expected
    assert "in_array_threshold" not in engine.dialect.create_connect_args(url)[1]


@pytest.mark.parametrize("value", ["-1", "few", "1.5"])
def test_wrong_values_of_the_option(value: str) -> None:
    in_url = f"in_array_threshold='{value}' in the URL"
    with pytest.warns(PgflightWarning, match=in_url):
        _, arguments = PGDialect_asyncpg().create_connect_args(
            sa.make_url(f"postgresql+pgflight://h/?in_array_threshold={value}")
        )
    with pytest.raises(ArgumentError, match=in_url):
        prepare_connect_kwargs(arguments)
    with pytest.raises(ArgumentError, match=r"in create_engine\(\)"):
        PGDialect_asyncpg(in_array_threshold=value)


def test_the_option_is_not_a_connection_s() -> None:
    with pytest.raises(ArgumentError, match="is too late"):
        prepare_connect_kwargs({"in_array_threshold": 5})
