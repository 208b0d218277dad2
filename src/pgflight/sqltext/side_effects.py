"""Which texts are side-effect-free SELECTs: they change nothing and leave no lock to wait for.

The end of a transaction that ran nothing else need not be waited for.  Called once per text, when
a statement is prepared.  A text that is not understood counts as one with side effects, which only
costs a wait.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from .pure_functions import AFTER, FUNCTIONS, UNQUOTED

LONGEST_TEXT = 20_000
"""Characters of the longest text that is examined; a longer one counts as not understood."""

KNOWN_TEXTS = 256
"""How many answers are kept."""

_FIRST_WORDS = frozenset(("select", "values", "table", "show"))
_AFTER_WITH = frozenset(("time", "ordinality", "ties", "unique"))

# PostgreSQL's own lexical rules. Every byte above 127 may be part of a name. A string in which a
# backslash precedes a quote ends elsewhere with standard_conforming_strings off: no token.
_NAME = "[A-Za-z_\u0080-\U0010ffff]"
_TOKEN = re.compile(
    rf"""
      (?P<space> [ \t\n\r\f\v]+ | --[^\n\r]* )
    | (?P<comment> /\* )
    | (?P<unknown> [uU]&["'] )
    | (?P<literal> [eE]'[^'\\]*(?:(?:''|\\.)[^'\\]*)*'(?!')
                 | '[^'\\]*(?:(?:''|\\[^'])[^'\\]*)*'(?!')
                 | \$(?P<tag>(?:{_NAME}[A-Za-z0-9_\u0080-\U0010ffff]*)?)\$.*?\$(?P=tag)\$ )
    | (?P<quoted> "[^"]*(?:""[^"]*)*"(?!") )
    | (?P<word> {_NAME}[A-Za-z0-9_$\u0080-\U0010ffff]* )
    | (?P<values> (?: \$?[0-9]+ (?: ::[A-Za-z]+ )? [ ]*,[ ]* )+ )
    | (?P<value> \$?[0-9]+ )
    | (?P<sign> ::|[-+*/<>=~!@\#%^&|`?:.,()\[\];] )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")

_ISOLATION = ("transaction_isolation", "characteristics", "set_config", "pg_settings")
_RESET = re.compile(r"\b(?:reset|discard)\b")


class NotUnderstood(Exception):
    """The text contains something that this module does not know."""


@lru_cache(maxsize=KNOWN_TEXTS)
def is_side_effect_free(text: str) -> bool:
    """Tell whether ``text`` is one SELECT, VALUES, TABLE or SHOW that only reads.

    No locking clause, no INTO, no WITH, and no call of a function that is not known to be pure.
    Not seen, and so taken for free of side effects: what a view, a policy of row-level security,
    an operator, a cast or the input function of a user's type does; a user's function called as a
    column (``t.f``); and one that replaces a built-in function of the same name, also of a later
    version.
    """
    if len(text) > LONGEST_TEXT:
        return False
    try:
        return _reads_only(tokens(text))
    except NotUnderstood:
        return False


@lru_cache(maxsize=KNOWN_TEXTS)
def touches_isolation(text: str) -> bool:
    """Tell whether ``text`` may change the isolation level of the session's later transactions.

    True for a text that mentions one of the ways; a user's function that does it is not seen.
    """
    folded = text.lower()
    return any(name in folded for name in _ISOLATION) or _RESET.search(folded) is not None


def tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each token but spaces and comments; words in lower case."""
    position, end = 0, len(text)
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise NotUnderstood
        position = match.end()
        kind = match.lastgroup or ""
        if kind == "space":
            continue
        if kind == "comment":
            position = _end_of_comment(text, position)
        elif kind == "unknown":
            raise NotUnderstood
        elif kind == "values":
            yield kind, ","  # as they end: a list of thousands is one step
        else:
            found = match.group()
            yield kind, found.lower() if kind == "word" and found.isascii() else found


def _end_of_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, position)
        if edge is None:
            raise NotUnderstood
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return position


def _reads_only(tokens: Iterator[tuple[str, str]]) -> bool:
    kind, found = next(tokens, ("", ""))
    if kind != "word" or found not in _FIRST_WORDS:
        return False
    name = [(kind, found)]  # the possibly qualified name that ends with the last token
    before = last = ""  # the signs and words in front of that name and of the next token
    last = found
    for kind, found in tokens:
        if last == ";":
            return False
        if last == "with" and found not in _AFTER_WITH:
            return False
        if last == "for" and kind != "value" and found != "(":
            return False  # FOR UPDATE, not the FOR of substring()
        if kind in ("word", "quoted"):
            if last == "." and name:
                name.append((kind, found))
            else:
                name, before = [(kind, found)], last
            if found == "into":
                return False
        elif found == "(":
            if name and not _may_be_called(name, before):
                return False
            name = []
        elif found != ".":
            name = []
        last = found if kind in ("word", "sign", "values") else ""
    return last not in ("with", "for")


def _may_be_called(name: list[tuple[str, str]], before: str) -> bool:
    """Tell whether a parenthesis after ``name`` is known to call nothing but a pure function."""
    kind, called = name[-1]
    if before in ("as", "::"):
        return True  # the columns of an alias, the length of a type
    if kind == "quoted":
        called = called[1:-1]
    if len(name) > 1:
        return name[:-1] in _CATALOG and called in FUNCTIONS
    if kind == "quoted":
        return called in FUNCTIONS
    return called in UNQUOTED or before in AFTER.get(called, ())


_CATALOG = ([("word", "pg_catalog")], [("quoted", '"pg_catalog"')])
