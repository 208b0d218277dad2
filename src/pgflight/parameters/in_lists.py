"""IN lists: short ones as SQLAlchemy writes them, but written once; long ones as one array.

``x IN ($1, $2)`` is a statement for two elements only.  For ``in_array_threshold`` or more elements
the compiler here writes ``x = ANY ($1::INTEGER[])``, which serves any number.  Below that,
PostgreSQL plans IN better: one is ``=``, and fewer than ten are planned anew each time.

The compiled text stays SQLAlchemy's; the array is put in when an execution fills in the list.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from typing import Any

from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect
from sqlalchemy.dialects.postgresql.ranges import AbstractSingleRange
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import OPERATORS, ExpandedState
from sqlalchemy.sql.elements import BindParameter, Cast, ColumnClause, TextClause
from sqlalchemy.sql.operators import custom_op, in_op, not_in_op

from ..compat import capability, compiled_statements, connections, sql_types, statements
from ..compat.features import Feature
from ..options.url import coerced_argument
from ..sqltext.long_lists import long_array, short_array
from .array_types import array_type
from .contracts import Compiled
from .in_list_operators import MOST_PARAMETERS, always, never, proof, type_name
from .in_list_texts import LONG_ARRAY, ExpandedList, InLists, Wording, dummies, processors_of
from .watched_lists import are_written_out

_SEEN = "_pgflight_in_seen"
_LEFT = "_pgflight_in_left_types"
_LISTS = "_pgflight_in_lists"
_ARRAYS = "_pgflight_in_arrays"
_UNPLANNED: Any = None
_NOT_GIVEN: Any = object()

_KNOWN = capability.has(Feature.IN_LISTS)
_WITH_ARRAY = {" NOT IN ": " != ALL ", " IN ": " = ANY "}  # in this order: one ends like the other
_NAME = re.compile(r'[\w$."]+')
_SIGNS = re.compile(r"[-+*/<>=~!@#%^&|`?]+")
_COMPARISONS = ("<", ">", "=", "<=", ">=", "<>", "!=")
_SIGN = ("<", ">", "=", "!")


class InListCompiler(PGCompiler):
    """Compiles IN lists, and fills them in for an execution."""

    def visit_binary(self, binary: Any, *positional: Any, **kw: Any) -> str:
        """Return an operator's text as SQLAlchemy does; take a note of IN and NOT IN."""
        text: str = super().visit_binary(binary, *positional, **kw)  # type: ignore[no-untyped-call]
        operator = binary.operator
        if not _KNOWN:
            return text
        if operator is in_op:
            self._note_list(binary, text, OPERATORS[in_op], kw)
        elif operator is not_in_op:
            self._note_list(binary, text[1:-1], OPERATORS[not_in_op], kw)
        return text

    def _note_list(self, binary: Any, text: str, operator: str, kw: dict[str, Any]) -> None:
        """Note the text left of a list, or that an array may not replace the list."""
        bind = binary.right
        if not (isinstance(bind, BindParameter) and bind in self.bind_names):
            return
        name = self.bind_names[bind]
        behind = operator + _token(self, name)
        seen = self.__dict__.setdefault(_SEEN, {})
        left = self.__dict__.setdefault(_LEFT, {}).setdefault(name, set())
        left.add(self._type_of(binary.left))
        # "=" binds less tightly than IN, and cannot be next to another comparison
        if (
            text.endswith(behind)
            and not isinstance(compiled_statements.operator_around(kw), custom_op)
            and all(map(_binds_tightly, visitors.iterate(binary.left)))
        ):
            seen.setdefault(name, set()).add(text.removesuffix(behind))
        else:
            seen.setdefault(name, set()).add(None)

    def _type_of(self, left: object) -> str | None:
        """Return the type that the statement casts a left side to, None if it does not."""
        if type(left) is not Cast or statements.is_compiled_by_program(left):
            return None
        return type_name(self.process(left.typeclause))

    @property
    def in_lists(self) -> InLists | None:
        """The statement's lists; ``None`` if it has none, or one that only SQLAlchemy fills in."""
        lists = self.__dict__.get(_LISTS, _UNPLANNED)
        if lists is _UNPLANNED:
            lists = self.__dict__[_LISTS] = _plan(self) or False
        return lists or None

    def _process_parameters_for_postcompile(
        self, parameters: Any, _populate_self: bool = False
    ) -> ExpandedState:
        """Return the text and the parameters of one execution."""
        lists = None if _populate_self else self.in_lists
        if lists is not None and are_written_out(lists.lists, parameters):
            lists = None
        if lists is not None and all(expanded.name in parameters for expanded in lists.lists):
            for expanded in lists.lists:
                values = parameters[expanded.name]
                if values and not hasattr(values, "__len__"):
                    parameters[expanded.name] = list(values)
            worded = lists.worded(self, [parameters[expanded.name] for expanded in lists.lists])
            if worded is not None and not _has_nested(lists, *worded):
                wording, found = worded
                processors: Any = processors_of(lists.lists, wording)
                return ExpandedState(
                    wording.statement,
                    lists.expand(parameters, wording, found),
                    processors,
                    list(wording.positions),
                    wording.keys,
                )
        return super()._process_parameters_for_postcompile(parameters, _populate_self)

    def _literal_execute_expanding_parameter(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, name: str, parameter: object, values: object, **options: Any
    ) -> Any:
        """Return a list's parameters by name, and their text."""
        arrays = self.__dict__.get(_ARRAYS)
        if arrays is None or name not in arrays:
            return super()._literal_execute_expanding_parameter(  # type: ignore[no-untyped-call]
                name, parameter, values, **options
            )
        array, write = arrays[name]
        return [(name, values)], write(self.compilation_bindtemplate % {"name": name}, array)


class InListDialect(PGDialect):
    """Has the option ``in_array_threshold``."""

    in_array_threshold: int = 10
    """Number of elements from which an IN list is sent as one array, 0 for never."""

    def __init__(self, in_array_threshold: int | None = _NOT_GIVEN, **options: Any) -> None:
        """Take the threshold (``None``: never), which wins over the URL's; or ArgumentError."""
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self.in_list_fallbacks: dict[str, int] = {}  # as in Statistics
        self._threshold_is_given = in_array_threshold is not _NOT_GIVEN
        if self._threshold_is_given:
            self.in_array_threshold = coerced_argument(
                "in_array_threshold", in_array_threshold or 0
            )

    def _take_threshold(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return a URL's options without the threshold, which is not a connection's."""
        threshold = arguments.pop("in_array_threshold", self.in_array_threshold)
        if not self._threshold_is_given:
            self.in_array_threshold = threshold
        return arguments


def _token(compiled: Compiled, name: str) -> str:
    escaped = compiled.escaped_bind_names
    return f"(__[POSTCOMPILE_{escaped.get(name, name) if escaped else name}])"


def _binds_tightly(element: Any) -> bool:
    """Tell whether ``element`` has the same text left of a comparison as left of IN.

    SQLAlchemy puts the elements that it knows in brackets where necessary; others it does not.
    """
    if statements.is_compiled_by_program(element):
        return False
    if isinstance(element, ColumnClause):
        return not element.is_literal or _NAME.fullmatch(element.name) is not None
    operator = getattr(element, "operator", None)
    if isinstance(operator, custom_op):
        signs = operator.opstring.strip()
        return _SIGNS.fullmatch(signs) is not None and signs not in _COMPARISONS
    return not isinstance(element, TextClause)


def _has_nested(lists: InLists, wording: Wording, found: list[list[Any]]) -> bool:
    return any(
        size < 0 and each.is_nested(_converted(each, values if each.ranges else values[:1]))
        for each, size, values in zip(lists.lists, wording.shape, found)
    )


def _converted(each: ExpandedList, values: list[Any]) -> list[Any]:
    return values if each.convert is None else list(map(each.convert, values))


def _plan(compiled: Compiled) -> InLists | None:
    """Return the lists of a compiled statement, ``None`` if SQLAlchemy has to fill them in."""
    limit = getattr(compiled.dialect, "in_array_threshold", None)
    positions = compiled.positiontup
    if not (
        _KNOWN
        and limit
        and _is_ours(type(compiled))
        and compiled.post_compile_params
        and not compiled.literal_execute_params
        and not compiled_statements.fills_lists_in_itself(compiled)
        and compiled_statements.has_numbered_parameters(compiled)
        and positions is not None
        and connections.casts_parameters(compiled.dialect)
    ):
        return None
    escaped = compiled.escaped_bind_names
    if escaped and len({*escaped.values(), *positions}) < len(escaped) + len(positions):
        return None  # in SQLAlchemy 2.0.40 two names may become one
    lists: list[ExpandedList] = []
    arrays: dict[str, str] = {}
    for place, name in enumerate(positions):
        bind = compiled.binds[name]
        if bind not in compiled.post_compile_params:
            continue
        if sql_types.is_tuple(bind.type) or bind.literal_execute or not bind.expanding:
            return None
        impl = sql_types.unwrapped(bind.type, compiled.dialect)
        array = array_type(bind.type, compiled) if impl.render_bind_cast else None
        if array is not None and _fits(compiled, name):
            arrays[escaped.get(name, name) if escaped else name] = array
        else:
            array = None
        convert = compiled_statements.bind_processors(compiled).get(name)
        same: Any = always
        if array is not None:
            left = compiled.__dict__.get(_LEFT, {}).get(name, {None})
            same = proof(impl, array.removesuffix("[]"), left)
        reach = 0 if array is None else limit
        if same is never:
            reach = max(reach, MOST_PARAMETERS + 1)
        ranges = isinstance(impl, AbstractSingleRange)
        untyped = bool(sql_types.is_null(impl))
        told = None if same in (always, never) else same
        lists.append(ExpandedList(name, place, convert, reach, untyped, ranges, told))

    def write(compiled: Compiled, shape: tuple[int, ...]) -> Wording:
        return _write(compiled, lists, shape, arrays)

    return InLists(lists, positions, write)


def _is_ours(cls: object) -> bool:
    """Tell whether a compiler that a program derived fills lists in as ours does."""
    ours = InListCompiler.__dict__
    return all(getattr(cls, name) is ours[name] for name in compiled_statements.LIST_METHODS)


def _fits(compiled: Compiled, name: str) -> bool:
    """Tell whether an array may be used wherever the text has the list ``name``."""
    seen = compiled.__dict__.get(_SEEN, {}).get(name)
    if not seen or None in seen:
        return False
    text, token = compiled.string, _token(compiled, name)
    # if the left sides have parameters of their own, their texts have changed by now
    whole = [left for left in seen if "%(" not in left]
    start = 0
    for _ in range(text.count(token[1:-1])):
        at = text.find(token, start)
        operator = next((op for op in _WITH_ARRAY if at >= 0 and text.endswith(op, 0, at)), None)
        if operator is None:
            return False
        start = at + len(token)
        before = at - len(operator)
        found = [left for left in whole if text.endswith(left, 0, before)]
        if found:
            rest = text[: before - len(max(found, key=len))]
        elif len(whole) == len(seen):
            return False
        else:
            rest = ""
        # a construct that the program compiles itself may be next to it
        if rest.rstrip().endswith(_SIGN) or text[start:].lstrip().startswith(_SIGN):
            return False
    return True


def _write(
    compiled: Compiled, lists: list[ExpandedList], shape: tuple[int, ...], arrays: dict[str, str]
) -> Wording:
    """Have SQLAlchemy write the text for lists of a shape."""
    escaped = compiled.escaped_bind_names
    text: str = compiled.string
    chosen: dict[str, tuple[str, Callable[[str, str], str]]] = {}
    for expanded, size in zip(lists, shape):
        if size < 0:
            token = _token(compiled, expanded.name)
            for listed, as_array in _WITH_ARRAY.items():
                text = text.replace(listed + token, as_array + token)
            name = escaped.get(expanded.name, expanded.name) if escaped else expanded.name
            chosen[name] = arrays[name], long_array if size == LONG_ARRAY else short_array
    # a copy, as other threads may be executing the statement
    writer = copy(compiled)
    setattr(writer, _ARRAYS, chosen)
    state = compiled_statements.expanded(writer, text, dummies(lists, shape))
    return Wording(
        state.statement, shape, list(state.positiontup or ()), dict(state.parameter_expansion)
    )
