"""``pgflight.dbapi.connect()``: transactions, values, errors, threads, Ctrl-C and fork()."""

from __future__ import annotations

import datetime
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from pgflight import dbapi, driver
from tests.fixtures.children import Child
from tests.fixtures.server import Server

SECONDS = 30
"""Bound on what takes a moment."""


@pytest.fixture
def connection(server: Server) -> Iterator[dbapi.Connection]:
    with dbapi.connect(server.text("postgresql"), autocommit=True) as made:
        yield made


def backend(connection: dbapi.Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def wait_for(server: Server, question: str, *parameters: object) -> None:
    """Wait until the server answers a question with true, asked on a connection of its own."""
    until = time.monotonic() + SECONDS
    with dbapi.connect(server.text("postgresql"), autocommit=True) as watching:
        while watching.execute(question, parameters).fetchone() != (True,):
            assert time.monotonic() < until, question
            time.sleep(0.01)


SLEEPS = "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'"
GONE = "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $1"


def test_names_of_the_module() -> None:
    assert (dbapi.apilevel, dbapi.threadsafety, dbapi.paramstyle) == ("2.0", 2, "pyformat")
    assert issubclass(dbapi.DataError, dbapi.DatabaseError)
    assert not issubclass(dbapi.InterfaceError, dbapi.DatabaseError)


def test_a_transaction_begins_by_itself(server: Server, connection: dbapi.Connection) -> None:
    connection.execute("CREATE TABLE dbapi_begun (n int)")
    try:
        with dbapi.connect(server.text("postgresql")) as writing:
            writing.execute("INSERT INTO dbapi_begun VALUES (%s)", (1,))
            assert connection.execute("SELECT * FROM dbapi_begun").fetchall() == []
            writing.rollback()
            writing.execute("INSERT INTO dbapi_begun VALUES (%s)", (2,))
            writing.commit()
            assert connection.execute("SELECT * FROM dbapi_begun").fetchall() == [(2,)]
            writing.execute("INSERT INTO dbapi_begun VALUES (%s)", (3,))
        assert writing.closed
        with pytest.raises(KeyError), dbapi.connect(server.text("postgresql")) as failing:
            failing.execute("INSERT INTO dbapi_begun VALUES (%s)", (4,))
            raise KeyError
        found = connection.execute("SELECT n FROM dbapi_begun ORDER BY n")
        assert list(found) == [(2,), (3,)]
    finally:
        connection.execute("DROP TABLE dbapi_begun")


def test_autocommit_is_not_changed_in_a_transaction(server: Server) -> None:
    with dbapi.connect(server.text("postgresql")) as connection:
        assert connection.autocommit is False
        connection.execute("SELECT 1")
        with pytest.raises(dbapi.ProgrammingError, match="a transaction is open"):
            connection.autocommit = True
        connection.autocommit = False  # no change
        connection.rollback()
        connection.autocommit = True
        connection.execute("VACUUM pg_class")  # refused in a transaction


def test_rows_are_those_of_psycopg(server: Server, connection: dbapi.Connection) -> None:
    question = (
        "SELECT n, n::text AS t, n * 1.5 AS d, n::float8 AS f, n % 2 = 0 AS b, '\\x00ff'::bytea,"
        " date '2026-11-29' + n, timestamptz '2026-11-29 01:02:03.4+00', NULL::int,"
        " ARRAY[n, n + 1], interval '1 day', '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid"
        " FROM generate_series(1, 5) AS n"
    )
    with psycopg.connect(server.text("postgresql")) as theirs:
        theirs.execute("SET TimeZone = 'UTC'")
        cursor = theirs.execute(question, binary=True)
        expected, columns = cursor.fetchall(), cursor.description or ()
    ours = connection.execute(question)
    description = ours.description or []
    assert [column[:2] for column in description] == [(each[0], each[1]) for each in columns]
    assert all(len(column) == 7 for column in description)
    assert ours.rowcount == 5
    assert ours.fetchone() == expected[0]
    assert ours.fetchmany() == expected[1:2]
    ours.arraysize = 2
    assert ours.fetchmany() == expected[2:4]
    assert ours.fetchall() == expected[4:]
    assert ours.fetchone() is None
    assert ours.fetchmany(3) == []


def test_type_codes_and_constructors(connection: dbapi.Connection) -> None:
    found = connection.execute("SELECT 'x'::text, 1, '\\x00'::bytea, now(), 1::oid, true")
    codes = [column[1] for column in found.description or ()]
    objects = [dbapi.STRING, dbapi.NUMBER, dbapi.BINARY, dbapi.DATETIME, dbapi.ROWID]
    for code, its_object in zip(codes, objects):
        assert [each for each in objects if code == each] == [its_object]
    assert not [each for each in objects if codes[5] == each]
    values = (
        dbapi.Date(2026, 11, 29),
        dbapi.Time(1, 2, 3),
        dbapi.Timestamp(2026, 11, 29, 1, 2, 3),
        dbapi.Binary(bytearray(b"\x00\xff")),
    )
    stored = connection.execute("SELECT %s::date, %s::time, %s::timestamp, %s::bytea", values)
    assert stored.fetchone() == values
    assert dbapi.TimestampFromTicks(0) == datetime.datetime.fromtimestamp(0)
    assert dbapi.DateFromTicks(0) == dbapi.TimestampFromTicks(0).date()
    assert dbapi.TimeFromTicks(0) == dbapi.TimestampFromTicks(0).time()


def test_values_that_psycopg_treats_otherwise(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    assert cursor.execute("SELECT '{\"a\": 1}'::jsonb").fetchone() == ('{"a": 1}',)
    assert cursor.execute("SELECT %s", ("text",)).fetchone() == ("text",)
    for operation, value in (("SELECT %s", 1), ("SELECT %s::int", "1")):
        with pytest.raises(dbapi.Error, match="invalid input for query argument"):
            cursor.execute(operation, (value,))
    with pytest.raises(dbapi.ProgrammingError, match="multiple commands"):
        cursor.execute("SELECT 1; SELECT 2")


def test_many_are_all_or_none(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    cursor.execute("CREATE TEMPORARY TABLE many (n int UNIQUE)")
    with pytest.raises(dbapi.IntegrityError) as caught:
        cursor.executemany("INSERT INTO many VALUES (%(n)s)", [{"n": 1}, {"n": 1}])
    assert caught.value.sqlstate == "23505"
    assert cursor.execute("SELECT * FROM many").fetchall() == []
    cursor.executemany("INSERT INTO many VALUES (%s)", ([n] for n in range(100)))
    # asyncpg's public interface does not tell
    assert cursor.rowcount == (100 if driver.is_private() else -1)
    assert cursor.description is None
    cursor.executemany("INSERT INTO many VALUES (%s)", [])
    assert cursor.rowcount == 0
    assert cursor.execute("SELECT sum(n) FROM many").fetchone() == (4950,)


def test_callproc(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    given = ("A", 3)
    assert cursor.callproc("pg_catalog.repeat", given) == ["A", 3]
    assert cursor.fetchall() == [("AAA",)]
    assert cursor.callproc('"pi"') == []
    for name in ("pi(); DROP TABLE t; --", "", '"pi', "a b", "1pi"):
        with pytest.raises(dbapi.ProgrammingError, match="no name"):
            cursor.callproc(name)


@pytest.mark.parametrize(
    ("operation", "kind", "state"),
    [
        ("SELEC 1", dbapi.ProgrammingError, "42601"),
        ("SELECT 1 / 0", dbapi.DataError, "22012"),
        ("SELECT * FROM no_such_table", dbapi.ProgrammingError, "42P01"),
        ("DO $$ BEGIN RAISE deadlock_detected; END $$", dbapi.OperationalError, "40P01"),
        ("COPY pg_class TO '/no/such/place/of/ours'", dbapi.OperationalError, "58P01"),
    ],
)
def test_errors(
    connection: dbapi.Connection, operation: str, kind: type[dbapi.Error], state: str
) -> None:
    cursor = connection.execute("SELECT 1")
    with pytest.raises(kind) as caught:
        cursor.execute(operation)
    assert caught.value.sqlstate == state
    assert cursor.rowcount == -1
    with pytest.raises(dbapi.ProgrammingError, match="no rows to fetch"):
        cursor.fetchall()


def test_errors_of_connecting(server: Server) -> None:
    dsn = server.text("postgresql")
    with pytest.raises(dbapi.OperationalError):
        dbapi.connect(dsn, host="127.0.0.1", port=1)
    with pytest.raises(dbapi.ProgrammingError, match="no_such_database"):
        dbapi.connect(dsn, database="no_such_database")
    with pytest.raises(dbapi.ProgrammingError, match="no_such_option"):
        dbapi.connect(dsn, no_such_option=1)
    for wrong in ("host=x password=hidden", "mysql://u:hidden@x/y", f"{dsn}?sslmode=hidden_not"):
        with pytest.raises(dbapi.ProgrammingError) as caught:
            dbapi.connect(wrong)
        assert "password=hidden" not in str(caught.value)
        assert "u:hidden" not in str(caught.value)


def test_a_statement_that_takes_too_long(server: Server) -> None:
    with dbapi.connect(server.text("postgresql"), command_timeout=0.2) as connection:
        with pytest.raises(dbapi.OperationalError, match="the statement has not ended") as caught:
            connection.execute("SELECT pg_sleep(60)")
        assert ("within 0.2 seconds" in str(caught.value)) == driver.is_private()
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_password_function_must_not_connect_by_itself(server: Server) -> None:
    def asks_the_database() -> str:
        with dbapi.connect(server.text("postgresql")):
            return "unused"

    with pytest.raises(dbapi.InterfaceError, match="such as a password function"):
        dbapi.connect(server.text("postgresql"), password=asks_the_database)


def test_what_is_closed_is_refused(server: Server) -> None:
    connection = dbapi.connect(server.text("postgresql"))
    cursor = connection.cursor()
    cursor.close()
    cursor.close()
    with pytest.raises(dbapi.InterfaceError, match="cursor is closed"):
        cursor.execute("SELECT 1")
    cursor = connection.execute("SELECT 1")
    connection.close()
    connection.close()
    for use in (connection.commit, connection.rollback, connection.cursor, cursor.fetchall):
        with pytest.raises(dbapi.InterfaceError, match="connection is closed"):
            use()


def test_a_connection_that_the_server_ends(server: Server, connection: dbapi.Connection) -> None:
    lost = dbapi.connect(server.text("postgresql"))
    pid = backend(lost)
    cursor = lost.execute("SELECT 5")
    connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
    wait_for(server, GONE, pid)
    for _ in range(2):  # the second finds that it has ended
        with pytest.raises(dbapi.OperationalError):
            lost.execute("SELECT 1")
    assert cursor.fetchall() == [(5,)]
    lost.close()
    assert lost.closed


def test_a_connection_that_nobody_closed_is_closed(server: Server) -> None:
    lost = dbapi.connect(server.text("postgresql"))
    pid = backend(lost)
    with pytest.warns(ResourceWarning, match="unclosed"):
        del lost
        gc.collect()
    wait_for(server, GONE, pid)


def test_threads_with_a_connection_each(server: Server) -> None:
    def work(n: int) -> int:
        total = 0
        with dbapi.connect(server.text("postgresql")) as connection:
            for each in range(20):
                row = connection.execute("SELECT %s::int + %s::int", (n, each)).fetchone()
                assert row == (n + each,)
                total += row[0]
        return total

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [20 * n + 190 for n in range(8)]
    names = [each.name for each in threading.enumerate()]
    assert names.count("pgflight-dbapi") == 1


def test_threads_share_a_connection(server: Server) -> None:
    """Each statement's rows go to its own cursor, and all are in one transaction."""
    with dbapi.connect(server.text("postgresql")) as connection:
        connection.execute("CREATE TEMPORARY TABLE shared (n int)")

        def work(n: int) -> int:
            cursor = connection.cursor()
            for each in range(20):
                number = n * 100 + each
                cursor.execute("INSERT INTO shared VALUES (%s) RETURNING n", (number,))
                assert cursor.fetchall() == [(number,)]
            return backend(connection)

        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(work, range(8)))) == 1
        assert connection.execute("SELECT count(*) FROM shared").fetchone() == (160,)
        connection.rollback()
        with pytest.raises(dbapi.ProgrammingError):
            connection.execute("SELECT * FROM shared")


@pytest.mark.parametrize("inside", [False, True], ids=["first statement", "later statement"])
def test_ctrl_c_cancels_the_statement_on_the_server(server: Server, inside: bool) -> None:
    with dbapi.connect(server.text("postgresql")) as connection:
        pid = backend(connection)
        if inside:
            connection.execute("CREATE TEMPORARY TABLE interrupted ()")
        else:
            connection.rollback()

        def interrupt() -> None:
            wait_for(server, SLEEPS, pid)
            os.kill(os.getpid(), signal.SIGINT)

        with ThreadPoolExecutor(1) as threads:
            sent = threads.submit(interrupt)
            with pytest.raises(KeyboardInterrupt):
                connection.execute("SELECT pg_sleep(600)")
            sent.result(SECONDS)
        wait_for(server, SLEEPS.replace("= 1 FROM", "= 0 FROM"), pid)
        connection.rollback()
        assert backend(connection) == pid
        with pytest.raises(dbapi.ProgrammingError):
            connection.execute("SELECT * FROM interrupted")


def test_ctrl_c_while_a_server_does_not_answer() -> None:
    """Nothing is left of the login."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as threads:

        def interrupt() -> bytes:
            accepted, _ = silent.accept()
            with accepted:
                accepted.settimeout(SECONDS)
                accepted.recv(1)
                os.kill(os.getpid(), signal.SIGINT)
                while accepted.recv(1000):
                    pass
                return b"closed"

        answer = threads.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            dbapi.connect(host="127.0.0.1", port=silent.getsockname()[1], user="x", password="x")
        assert answer.result(SECONDS) == b"closed"


def test_a_program_that_ends_without_closing(server: Server) -> None:
    """Silently: Python does not show a ResourceWarning unless it is asked to."""
    program = (
        "import sys; from pgflight import dbapi; c = dbapi.connect(sys.argv[1]);"
        " print(c.execute('SELECT 6').fetchone())"
    )
    command = [sys.executable, "-c", program, server.text("postgresql")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(6,)\n", "")


def test_a_child_process_makes_its_own(server: Server) -> None:
    with dbapi.connect(server.text("postgresql")) as connection:
        pid = backend(connection)

        def work() -> int:
            status = 1
            try:
                connection.execute("SELECT 1")
            except dbapi.InterfaceError as error:
                status = 2 if "parent process" in str(error) else 3
            connection.close()
            with dbapi.connect(server.text("postgresql")) as own:
                if status == 2 and backend(own) != pid:
                    status = 0
            return status

        assert Child(work, SECONDS).status() == 0
        assert backend(connection) == pid
