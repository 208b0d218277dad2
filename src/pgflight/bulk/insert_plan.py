"""How an INSERT of many rows is written for one array per column, or the reason why it is not.

Made once per compiled statement (and per text, which a ``schema_translate_map`` changes) and kept
with it; :mod:`pgflight.bulk.array_changes` sends what the plan says.  ``VALUES ($1::INTEGER,
$2::VARCHAR)`` becomes ``SELECT unnest($1::INTEGER[]), unnest($2::VARCHAR[])``: numbers and
everything around them stay as SQLAlchemy has written them.  A text that is not understood to the
last character has no plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from sqlalchemy.dialects.postgresql.dml import OnConflictDoNothing, OnConflictDoUpdate

from ..compat import compiled_statements, statements
from ..parameters.array_types import array_type, why_not
from ..parameters.contracts import Compiled
from .insert_texts import PARAMETER, check_expression, items_of, proof_of, supposed_type
from .row_equivalence import NoPlan
from .table_proof import PROOF, Proof
from .upserts import target_of

_PLANS = "_pgflight_array_inserts"
_PLANS_KEPT = 3

_ROWS = "imp_u"  # beside SQLAlchemy's own imp_sen
_PLAIN = " VALUES ("
_SORTED = " FROM (VALUES ("

_SIZED = frozenset(
    {"VARCHAR[]", "TEXT[]", "CHAR[]", "BYTEA[]", "JSON[]", "JSONB[]", "CITEXT[]", "TSVECTOR[]"}
)
"""Arrays whose values may be of any size."""


class _RowJoining(Protocol):
    """The dialect's compiler, which joins the rows of an INSERT into batches."""

    def joins_rows(self, statement: str, columns: int, translation: object) -> bool: ...


def _joins_rows(compiled: Compiled, statement: str, translation: object) -> bool:
    columns = len(compiled.positiontup)
    return cast(_RowJoining, compiled).joins_rows(statement, columns, translation)


class ArrayInsert:
    """One statement for any number of rows."""

    __slots__ = (
        "text",
        "inner",
        "sized",
        "ranges",
        "width",
        "keys",
        "proof",
        "_before",
        "_after",
        "_sent",
    )

    opted = False
    """Whether it is used only with ``array_dml``."""

    def __init__(
        self,
        text: str,
        types: Mapping[int, str],
        width: int,
        keys: Sequence[int] = (),
        proof: Proof | None = None,
    ) -> None:
        """Keep the text and the array types of those of its ``width`` parameters that are arrays.

        Keys of ``types`` are the parameters' places, from 0; ``keys`` are the places of those
        whose values, taken together, must be unique.  ``proof`` is what the text has the server
        prove; none is needed where SQLAlchemy, too, sends many rows in one statement.
        """
        self.proof = proof
        self._before, _, self._after = text.partition(PROOF)
        self._sent: tuple[str, str] | None = None
        self.text = text
        self.width = width
        self.keys = tuple(keys)
        self.inner = tuple(sorted(types))
        self.sized = tuple(place for place in self.inner if types[place] in _SIZED)
        """Places of those whose values may be large."""
        self.ranges = tuple(place for place in self.inner if types[place].endswith("RANGE[]"))
        """Places of those whose values asyncpg takes as lists, too."""

    def text_under(self, condition: str) -> str:
        """Return the text with the condition under which it may be run."""
        if self._sent is None or self._sent[0] != condition:
            self._sent = condition, f"{self._before}{condition}{self._after}"
        return self._sent[1]


class ArrayChange(ArrayInsert):
    """The same for ON CONFLICT DO UPDATE without RETURNING, and for UPDATE and DELETE."""

    __slots__ = ()

    opted = True


Maker = Callable[[Any, str, "Mapping[Any, str] | None"], ArrayInsert]


def plan_of(
    compiled: Compiled,
    statement: str,
    translation: Mapping[Any, str] | None,
    *,
    upserts: bool = False,
) -> ArrayInsert | str:
    """Return the plan for ``statement``, the text of ``compiled``; else the reason against it.

    ``translation`` is the schema_translate_map by which the text was made, if there was one.
    ``upserts`` tells whether ON CONFLICT DO UPDATE without RETURNING may have one.
    """
    return kept_plan(compiled, statement, translation, _plan_upsert if upserts else _plan)


def kept_plan(
    compiled: Compiled, statement: str, translation: Mapping[Any, str] | None, make: Maker
) -> ArrayInsert | str:
    """Return what ``make`` returns, or the reason in the NoPlan that it raises; both are kept."""
    plans = compiled.__dict__.setdefault(_PLANS, {})
    plan: ArrayInsert | str | None = plans.get((make, statement))
    if plan is None:
        if len(plans) >= _PLANS_KEPT:
            plans.clear()
        try:
            plan = make(compiled, statement, translation)
        except NoPlan as reason:
            plan = str(reason)
        plans[make, statement] = plan
    return plan


def _plan_upsert(
    compiled: Compiled, statement: str, translation: Mapping[Any, str] | None
) -> ArrayInsert:
    return _plan(compiled, statement, translation, upserts=True)


def _plan(
    compiled: Compiled,
    statement: str,
    translation: Mapping[Any, str] | None,
    upserts: bool = False,
) -> ArrayInsert:
    keys = _check(compiled, statement, translation, upserts)
    imv = compiled_statements.many_values(compiled)
    ordered = imv is not None and imv.embed_values_counter
    token = _SORTED if ordered else _PLAIN
    head, found, tail = statement.partition(token)
    if not found or token in tail:
        raise NoPlan("no VALUES, or more than one")
    items, tail = items_of(tail)
    if tail.startswith(","):
        raise NoPlan("several rows in VALUES")
    inside = {number for item in items for number in PARAMETER.findall(item)}
    if not inside:
        raise NoPlan("no parameters in VALUES")
    if not inside.isdisjoint(PARAMETER.findall(head + tail)):
        raise NoPlan("a parameter inside and outside of VALUES")

    types: dict[int, str] = {}
    chosen = [_take_in(item, compiled, translation, ordered, types) for item in items]
    proof = None
    if imv is None:
        proof = proof_of(head, items, tail, compiled, keys)
    elif not ordered and any(supposed_type(item, compiled) for item in items):
        raise NoPlan("a type without a cast")
    places = sorted(types)
    arrays = [f"unnest(${place + 1}::{types[place]})" for place in places]
    names = [f"b{place + 1}" for place in places]
    plain = chosen == [f"{_ROWS}.{name}" for name in names]
    if ordered:
        arrays.append(f"generate_subscripts(${places[0] + 1}::{types[places[0]]}, 1)")
        names.append("n")
        chosen.append(f"{_ROWS}.n")
    rows = f"SELECT {', '.join(arrays)}"
    if not plain:  # expressions, or parameters in another order
        rows = f"SELECT {', '.join(chosen)} FROM ({rows}) AS {_ROWS}({', '.join(names)})"
    if proof is not None:
        rows = f"{rows} WHERE {PROOF}"
    text = f"{head} FROM ({rows}{tail}" if ordered else f"{head} {rows}{tail}"
    width = len(compiled.positiontup)
    if keys is None:
        return ArrayInsert(text, types, width, proof=proof)
    if not {f"{_ROWS}.b{key + 1}" for key in keys} <= {*chosen}:
        raise NoPlan("a conflict target that is not bound")
    return ArrayChange(text, types, width, keys, proof)


def _check(
    compiled: Compiled, statement: str, translation: Mapping[Any, str] | None, upserts: bool
) -> list[int] | None:
    """Raise for a statement that certainly has no plan.

    Returns the places of the conflict target's values where that is for DO UPDATE.
    """
    if not compiled_statements.has_numbered_parameters(compiled):
        raise NoPlan("no numbered parameters")
    if not compiled.positiontup:
        raise NoPlan("no parameters in VALUES")
    if compiled.post_compile_params or compiled.literal_execute_params:
        raise NoPlan("parameters that are rendered for each execution")
    clause = statements.conflict_clause(compiled.compile_state.statement)
    imv = compiled_statements.many_values(compiled)
    if imv is None:
        if clause is not None and not isinstance(clause, OnConflictDoNothing):
            if not upserts or type(clause) is not OnConflictDoUpdate:
                raise NoPlan("ON CONFLICT DO UPDATE")
            return target_of(compiled, clause)
    elif imv.is_default_expr:
        raise NoPlan("no parameters in VALUES")
    elif not _joins_rows(compiled, statement, translation):
        raise NoPlan("rows that SQLAlchemy sends one by one")
    return None


def _take_in(
    item: str,
    compiled: Compiled,
    translation: Mapping[Any, str] | None,
    ordered: bool,
    types: dict[int, str],
) -> str:
    """Note the array types of one value's parameters; return what stands for it in a row."""
    matches = list(PARAMETER.finditer(item))
    alone = len(matches) == 1 and not matches[0].start()
    bare = alone and matches[0].end() == len(item)
    for match in matches:
        place = int(match[1]) - 1
        if place >= len(compiled.positiontup):
            raise NoPlan("no numbered parameters")
        kind = compiled.binds[compiled.positiontup[place]].type
        # what SQLAlchemy does not cast is cast in front of its ORDER BY
        stated = ordered and bare
        name = array_type(kind, compiled, stated=stated)
        if name is None:
            raise NoPlan(why_not(kind, compiled, stated=stated))
        if translation is not None:
            name = compiled_statements.schema_translator(compiled)(name, translation)
        if types.setdefault(place, name) != name:
            raise NoPlan("a parameter of two types")
        bare = bare or (alone and item[match.end() :] == f"::{name[:-2]}")
        if not bare and not item.startswith("::", match.end()):
            raise NoPlan("a parameter without a cast in an expression")
    if not bare:
        check_expression(item)
        return PARAMETER.sub(lambda match: f"{_ROWS}.b{match[1]}", item)
    return f"{_ROWS}.b{matches[0][1]}"
