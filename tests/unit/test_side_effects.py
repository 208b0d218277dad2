"""The classifier of side-effect-free SELECTs: both answers, and what turns one into the other."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Integer, Numeric, String, column, func, select, table, values
from sqlalchemy.dialects.postgresql import aggregate_order_by, array

from pgflight.dialect import dialect
from pgflight.sqltext import pure_functions, side_effects
from pgflight.sqltext.side_effects import LONGEST_TEXT, is_side_effect_free, touches_isolation
from tests.fixtures.server import Server

PLAIN = r"""
SELECT 1
select 1
 \n\tSELECT 1 ;
SELECT 1; -- done
-- first\nSELECT 1
/* a /* nested */ comment; FOR UPDATE */ SELECT 1
SELECT/**/1
SELECT/* INTO */count(*) FROM t
SELECT a--FOR UPDATE\nFROM t
VALUES (1, 'a'), (2, 'b')
TABLE t
SHOW search_path
SHOW transaction_isolation
SELECT t.id, t.name FROM t WHERE t.id = $1::INTEGER
SELECT t.id FROM t WHERE t.name = $1::VARCHAR AND t.at > $2::TIMESTAMP WITH TIME ZONE
SELECT t.id FROM t WHERE t.id IN ($1::INTEGER, $2::INTEGER)
SELECT t.id FROM t WHERE t.id = ANY ($1::INTEGER[])
SELECT t.id FROM t WHERE t.id = ANY (ARRAY[1, 2]) OR t.id != ALL (SELECT 1) OR t.id > SOME ($1)
SELECT t.id FROM t WHERE NOT (EXISTS (SELECT * FROM u WHERE u.id = t.id))
SELECT t.id FROM t WHERE (t.a, t.b) IN ((1, 2), (3, 4))
SELECT CAST(t.a AS VARCHAR(20)), CAST(t.b AS NUMERIC(10, 2)), $1::NUMERIC(10, 2) FROM t
SELECT CAST($1 AS TIMESTAMP(3) WITHOUT TIME ZONE), t.a::character varying(20), t.b::bit(3) FROM t
SELECT CAST(t.v AS VECTOR(3)), t.v::public.vector(3), t.v::"Vector"(3) FROM t
SELECT CASE WHEN (t.a > 1) THEN 'FOR UPDATE' ELSE 'nextval(1)' END AS x FROM t
SELECT row_number() OVER (PARTITION BY t.a ORDER BY t.b DESC) AS n FROM t
SELECT sum(t.a) FILTER (WHERE t.a > 1) OVER (ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING) FROM t
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t.a) FROM t
SELECT t.a, sum(t.b) OVER w FROM t WINDOW w AS (PARTITION BY t.c)
SELECT t.a FROM t GROUP BY GROUPING SETS ((t.a), (t.b), ())
SELECT grouping(t.a) FROM t GROUP BY ROLLUP (t.a)
SELECT grouping(t.b) FROM t GROUP BY CUBE (t.b)
SELECT t.a FROM t GROUP BY (t.a) ORDER BY (t.b)
SELECT v.a FROM (VALUES ($1::INTEGER, $2::VARCHAR), (2, 'x')) AS v (a, b)
SELECT x.a FROM t JOIN LATERAL (SELECT u.a FROM u WHERE u.id = t.id LIMIT $1) AS x ON (true)
SELECT t.a FROM t JOIN u USING (id) LEFT OUTER JOIN w ON (w.id = u.id)
SELECT anon_1.a FROM unnest($1::INTEGER[]) WITH ORDINALITY AS anon_1(a, ordinality)
SELECT r.a FROM jsonb_to_recordset($1) AS r(a INTEGER, b NUMERIC(10, 2))
SELECT j.x FROM t, LATERAL jsonb_array_elements(t.doc) AS j(x)
SELECT DISTINCT ON (t.a) t.a FROM t
SELECT t.a FROM t UNION ALL (SELECT u.a FROM u) EXCEPT (SELECT 1) INTERSECT (SELECT 2)
SELECT t.a FROM t ORDER BY t.a NULLS LAST LIMIT $1 OFFSET ($2::INTEGER + 1)
SELECT t.a FROM t FETCH FIRST (5) ROWS WITH TIES
SELECT t.a FROM t TABLESAMPLE bernoulli(10) REPEATABLE (3)
SELECT t.doc ->> 'a', t.doc #> '{a,b}', t.doc @> $1::JSONB, t.doc ? 'x' FROM t
SELECT t."into", t."for", t."with" FROM "FOR UPDATE" AS t
SELECT t."a""b (" FROM t AS "nextval"
SELECT pg_catalog.lower(t.a), "lower"(t.a) FROM t
SELECT pg_catalog . "upper" (t.a), "pg_catalog"."lower"('x') FROM t
SELECT count (*) , COUNT(DISTINCT t.a), Lower (t.a) FROM t
SELECT substring(t.a FROM 1 FOR 3), substring(t.a FROM $1 FOR $2) FROM t
SELECT overlay(t.a PLACING 'x' FROM 2 FOR (1)) FROM t
SELECT extract(epoch FROM t.at), trim(BOTH 'x' FROM t.a), position('x' IN t.a) FROM t
SELECT coalesce(t.a, nullif(t.b, 1), greatest(1, least(2, 3)))
SELECT CURRENT_TIMESTAMP(3), current_date FROM t
SELECT E'it\'s FOR UPDATE', 'it''s FOR UPDATE', B'101', x'ff', N'a' FROM t
SELECT $$ FOR UPDATE $$, $tag$ nextval('s') $$ $tag$, $1 FROM t
SELECT '100\_%', t.a LIKE ('x' || $1) ESCAPE '/' FROM t
SELECT 1.5e10, .5, 1e-3, -t.a ^ 2, t.a[1:2], (t.b).c, 1+1, t.*FROM t
SELECT interval '1 day', date '2020-01-01', now() AT TIME ZONE 'utc', t.a::interval(3) FROM t
SELECT array_agg(t.a ORDER BY t.b), array_to_string(ARRAY(SELECT 1), ',') FROM t
SELECT random(), gen_random_uuid(), clock_timestamp(), currval('s'), lastval()
SELECT pg_backend_pid(), current_setting('x'), version(), has_table_privilege('t', 'select')
SELECT t.größe FROM t WHERE t.größe IS NOT DISTINCT FROM (1) AND t.b BETWEEN (1) AND (2)
SELECT f.update, f.share FROM f
""".strip("\n").splitlines()

NOT_PLAIN = r"""

 ;
-- only a comment
INSERT INTO t VALUES (1)
UPDATE t SET a = 1
DELETE FROM t
WITH x AS (SELECT 1) SELECT * FROM x
(SELECT 1)
EXPLAIN SELECT 1
SELECTED
"select" 1
SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) AS y
SELECT t.a WITH
BEGIN
COMMIT
SET search_path = x
COPY t TO STDOUT
LOCK t
DO $$ BEGIN END $$
CALL f()
FETCH 1 FROM c
EXECUTE s
SELECT t.a FROM t FOR UPDATE
SELECT t.a FROM t FOR\n\tUPDATE
SELECT t.a FROM t for/* x */update
SELECT t.a FROM t WHERE t.a=1for update
SELECT t.a FROM t FOR -- x\n  SHARE
SELECT t.a FROM t FOR NO KEY UPDATE OF t SKIP LOCKED
SELECT t.a FROM t FOR KEY SHARE NOWAIT
SELECT t.a FROM (SELECT u.a FROM u FOR UPDATE) AS t
TABLE t FOR UPDATE
SELECT t.a FOR
SELECT t.a INTO x FROM t
SELECT t.a INTO TEMP x FROM t
SELECT nextval('s')
SELECT nextval ('s')
SELECT nextval/**/('s')
SELECT NEXTVAL('s')
SELECT "nextval"('s')
SELECT pg_catalog.nextval('s')
SELECT setval('s', 1)
SELECT set_config('a.b', 'c', true)
SELECT pg_advisory_lock(1)
SELECT pg_try_advisory_xact_lock(1)
SELECT pg_notify('a', 'b')
SELECT lo_create(0)
SELECT dblink('a', 'b')
SELECT pg_sleep(1)
SELECT txid_current()
SELECT pg_current_xact_id()
SELECT pg_export_snapshot()
SELECT pg_terminate_backend(1)
SELECT query_to_xml('delete from t', true, true, '')
SELECT my_function(1)
SELECT "My Function"(1)
SELECT "lower "(1)
SELECT "LOWER"('x')
SELECT "select"(1)
SELECT "coalesce"(1)
SELECT public.lower('x')
SELECT x.pg_catalog.lower('x')
SELECT pg_catalog.coalesce(1)
SELECT "PG_CATALOG".lower('x')
SELECT by(1)
SELECT is(1)
SELECT t.a, similar(1) FROM t
SELECT ilike('a', 'b')
SELECT rollup(1)
SELECT t.a, cube(1) FROM t
SELECT r.a FROM rollup(1) AS r
SELECT t.a, over(1), filter(2), sets(3) FROM t
SELECT DISTINCT ON (t.a) nextval('s') FROM t
SELECT count(*) FROM my_rows(1) AS r(a)
SELECT * FROM t, LATERAL my_rows(t.a) AS r
SELECT a OPERATOR(public.+) b FROM t
SELECT lower(upper(my_function(1)))
SELECT (SELECT CASE WHEN true THEN my_function(1) END)
SELECT 1; SELECT 2
SELECT 1;; SELECT 2
SELECT 1; DELETE FROM t
SELECT 1;;
SELECT 'unterminated
SELECT 'unterminated''
SELECT "unterminated
SELECT $$unterminated
SELECT $a$unterminated$b$
SELECT /* unterminated /* nested */
SELECT '\'' || nextval('s') || '\''
SELECT 'a' '\' FOR UPDATE --'
SELECT E'a\' FOR UPDATE
SELECT U&"n\0065xtval"('s')
SELECT u&'\0061'
SELECT \ 1
SELECT {fn x}
""".strip("\n").splitlines()


def _text(line: str) -> str:
    """Return the text that a line of the tables above stands for."""
    return line.replace(r"\n", "\n").replace(r"\t", "\t")


@pytest.mark.parametrize("text", PLAIN)
def test_side_effects(text: str) -> None:
    assert is_side_effect_free(_text(text))


@pytest.mark.parametrize("text", ["", "SELECT 1 \0", "SELECT mas\u212alen('x')", *NOT_PLAIN])
def test_not_plain(text: str) -> None:
    assert not is_side_effect_free(_text(text))


@pytest.mark.parametrize(
    "text",
    ["SELECT a -- \n FOR UPDATE", "SELECT a /* \n */ FOR\nUPDATE", "SELECT 'a\n' FOR\r\nSHARE"],
)
def test_a_lock_on_a_line_of_its_own(text: str) -> None:
    assert not is_side_effect_free(text)


def test_a_very_long_text_is_not_looked_at() -> None:
    text = "SELECT " + "1, " * (LONGEST_TEXT // 3) + "1"
    assert not is_side_effect_free(text)
    assert is_side_effect_free(text[-LONGEST_TEXT // 2 :].replace("1", "SELECT 1", 1).lstrip(", "))


@pytest.mark.parametrize("item", ["$1", "$1::INTEGER", "1", "$1 "])
def test_a_long_list_of_values_is_one_step(item: str) -> None:
    items = ", ".join([item] * 500)
    assert len(list(side_effects.tokens(f"SELECT 1 WHERE 1 IN ({items})"))) < 15
    assert is_side_effect_free(f"SELECT 1 WHERE 1 IN ({items})")
    assert is_side_effect_free(
        f"SELECT coalesce({items}, now()) FROM t WHERE a IN ({items}) AND b = 1"
    )
    assert not is_side_effect_free(f"SELECT 1 FROM t WHERE 1 IN ({items}) FOR UPDATE")
    assert not is_side_effect_free(f"SELECT f({items})")
    assert not is_side_effect_free(f"SELECT coalesce({items}, nextval('s'))")
    assert not is_side_effect_free(f"SELECT {items}, 1; DELETE FROM t")


def test_the_answers_kept_are_bounded() -> None:
    for info in (is_side_effect_free.cache_info(), touches_isolation.cache_info()):
        assert info.maxsize == side_effects.KNOWN_TEXTS <= 1024


# what SQLAlchemy writes

T = table("t", column("id", Integer), column("name", String), column("price", Numeric))
STATEMENTS = [
    select(T),
    select(T.c.id).where(T.c.id.in_([1, 2]), T.c.name.like("a%"), T.c.name.contains("_")),
    select(func.count()).select_from(T.join(T.alias("u"), T.c.id == column("x"))),
    select(func.row_number().over(partition_by=T.c.id, order_by=T.c.name)),
    select(func.sum(T.c.price).filter(T.c.id > 3), func.mode().within_group(T.c.id)),
    select(T.c.name.cast(String(20)), T.c.price.cast(Numeric(10, 2))),
    select(values(column("a", Integer), column("b", String), name="v").data([(1, "x"), (2, "y")])),
    select(T.c.id, select(func.max(T.c.id)).scalar_subquery()),
    select(T).order_by(T.c.id.desc().nulls_last()).limit(5).offset(10),
    select(T).where(T.c.id == func.any(array([1, 2])), ~select(T.c.id).exists()),
    select(func.unnest(array([1, 2])).table_valued("a", with_ordinality="n")),
    select(func.array_agg(aggregate_order_by(T.c.id, T.c.name.desc()))),
    select(T.c.id).union_all(select(T.c.id).limit(1)).order_by("id"),
    select(func.jsonb_to_recordset("[]").table_valued(column("a", Integer)).render_derived()),
]


@pytest.mark.parametrize("number", range(len(STATEMENTS)))
def test_what_sqlalchemy_writes_is_plain(number: int) -> None:
    text = str(STATEMENTS[number].compile(dialect=dialect()))
    assert is_side_effect_free(text), text


@pytest.mark.parametrize(
    "options", [{}, {"read": True}, {"key_share": True}, {"skip_locked": True}, {"nowait": True}]
)
def test_what_sqlalchemy_writes_to_lock_is_not(options: dict[str, Any]) -> None:
    assert not is_side_effect_free(
        str(select(T).with_for_update(**options).compile(dialect=dialect()))
    )


# random texts: pieces between which anything may be put

PIECES = [
    "SELECT",
    "t . a ,",
    "lower ( t . b ) ,",
    "count ( * )",
    "FILTER ( WHERE t . a > 1 ) ,",
    "CAST ( $1 AS NUMERIC ( 10 , 2 ) ) ,",
    "'FOR UPDATE' ,",
    "$$ nextval('s') $$ ,",
    "E'\\'' ,",
    '"into"',
    "FROM t",
    "JOIN u USING ( id )",
    "WHERE t . a IN ( 1 , 2 )",
    "AND t . b = $2::VARCHAR",
    "ORDER BY t . a",
    "LIMIT $3",
]
SPACES = [" ", "\n", "\t ", " -- FOR UPDATE\n", " /* nextval(1) */ ", " /* /* INTO */ */ "]
LOCKS = ["FOR UPDATE", "FOR SHARE", "FOR NO KEY UPDATE", "FOR KEY SHARE", "INTO x", "; DELETE"]
CALLS = ["evil ( 1 )", "s . lower ( 1 )", '"evil" ( )', "nextval ( 's' )", '"LOWER" ( )']
SPOILED = ["'", '"', "$x$", "/*", "\\", "\x00"]


@st.composite
def texts(draw: st.DrawFn, *, spoil: bool) -> str:
    """A plain text, spaced and cased at random; spoiled at a random place where asked for."""
    pieces = [word for piece in PIECES for word in _words(piece)]
    if spoil:
        at = draw(st.integers(1, len(pieces)))
        if pieces[at - 1] == "AS":
            at -= 1  # what follows AS is a name of a type, never a call
        pieces[at:at] = _words(draw(st.sampled_from([*LOCKS, *CALLS])))
    text = ""
    for word in pieces:
        if "'" not in word and "$" not in word and '"' not in word:
            word = draw(st.sampled_from([word, word.lower(), word.upper()]))
        text += word + draw(st.sampled_from(SPACES))
    return text


def _words(piece: str) -> list[str]:
    whole = any(mark in piece for mark in ("'FOR", "$$", "E'"))
    return [piece] if whole else piece.split(" ")


@given(texts(spoil=False))
def test_spaces_comments_and_case_do_not_matter(text: str) -> None:
    assert is_side_effect_free(text)


@given(texts(spoil=True))
def test_a_lock_or_an_unknown_function_anywhere_makes_it_not_plain(text: str) -> None:
    assert not is_side_effect_free(text)


@given(texts(spoil=False), st.sampled_from(SPOILED))
def test_what_never_ends_is_not_plain(text: str, spoiled: str) -> None:
    assert not is_side_effect_free(text + spoiled)


@given(st.text(max_size=200))
def test_any_text_gets_an_answer(text: str) -> None:
    assert is_side_effect_free("SELECT " + text) in (True, False)


# isolation


@pytest.mark.parametrize(
    "text",
    [
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "set session/**/characteristics as transaction read only",
        "SET default_transaction_isolation = 'serializable'",
        "SELECT set_config('default_' || 'x', 'serializable', false)",
        "UPDATE pg_settings SET setting = 'x'",
        "RESET ALL",
        "DISCARD ALL",
        "SHOW transaction_isolation",
    ],
)
def test_touches_isolation(text: str) -> None:
    assert touches_isolation(text)


@pytest.mark.parametrize(
    "text", ["SELECT 1", "UPDATE password_reset SET a = 1", "SET TRANSACTION READ ONLY", ""]
)
def test_does_not_touch_isolation(text: str) -> None:
    assert not touches_isolation(text)


# the names


def _volatility(server: Server, names: list[str]) -> dict[str, str]:
    return asyncio.run(_ask_volatility(server, names))


async def _ask_volatility(server: Server, names: list[str]) -> dict[str, str]:
    connection = await asyncpg.connect(server.url("postgresql").render_as_string(False))
    try:
        found = await connection.fetch(
            "SELECT proname, string_agg(DISTINCT provolatile::text, '') AS kinds FROM pg_proc"
            " WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY ($1) GROUP BY 1",
            names,
        )
    finally:
        await connection.close()
    return {row["proname"]: row["kinds"] for row in found}


def test_every_function_exists_and_none_is_volatile_unsaid(server: Server) -> None:
    kinds = _volatility(server, sorted(pure_functions.FUNCTIONS))
    later = set(pure_functions.LATER.split()) if server.version < (18, 0) else set()
    assert set(pure_functions.FUNCTIONS) - set(kinds) <= later
    volatile = {name for name, kind in kinds.items() if "v" in kind}
    assert volatile <= set(pure_functions.VOLATILE.split()) | pure_functions.LATER_VOLATILE


def test_no_word_or_call_of_the_grammar_is_a_volatile_function(server: Server) -> None:
    kinds = _volatility(server, sorted(pure_functions.UNQUOTED))
    assert {name for name, kind in kinds.items() if "v" in kind} <= pure_functions.FUNCTIONS
