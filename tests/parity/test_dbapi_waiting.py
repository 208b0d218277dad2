"""Nobody waits for ever: at the interpreter's end, in the loop's thread, in close(), after fork().

Of ``pgflight.dbapi.connect()`` and of the engines of ``async_fallback``.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from pgflight import dbapi
from pgflight.dbapi.pep249 import calls
from tests.fixtures.children import Child
from tests.fixtures.server import Server
from tests.parity.test_dbapi import GONE, SECONDS, SLEEPS, backend, wait_for


@pytest.fixture
def dsn(server: Server) -> Iterator[str]:
    """The address; afterwards the process can still connect."""
    address = server.text("postgresql")
    yield address
    with ThreadPoolExecutor(1) as threads:
        again = threads.submit(dbapi.connect, address)
        again.result(SECONDS).close()


def in_thread(function: Any, *arguments: Any) -> Any:
    """Call a function in a thread that does not stop the process if it hangs; return the result."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(function(*arguments))
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert results, f"{function} hangs"
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


BEGINNING = """
import atexit, os, sys, threading, time, warnings
from pgflight import dbapi
dsn = sys.argv[1]
def tell(text):
    os.write(1, text.encode() + b"\\n")
"""

ENGINE = """
warnings.simplefilter("ignore")
from sqlalchemy import create_engine, text
engine = create_engine(sys.argv[2])
"""

GENERATOR = """
def rows():
    try:
        with {} as connection:
            yield from connection.execute({})
    finally:
        tell("closed")
generator = rows()
next(generator)
"""
TWO_ROWS = '"SELECT 1 UNION ALL SELECT 2"'

AT_THE_END = {
    "an object's end closes": """
class Store:
    def __init__(self):
        self.connection = dbapi.connect(dsn)
        self.connection.execute("SELECT 1")
    def __del__(self):
        self.connection.close()
        tell("closed" if self.connection.closed else "open")
store = Store()
""",
    "an object's end rolls back": """
class Store:
    def __init__(self):
        self.connection = dbapi.connect(dsn)
        self.connection.execute("SELECT 1")
    def __del__(self):
        for use in (self.connection.rollback, lambda: dbapi.connect(dsn)):
            try:
                use()
            except dbapi.InterfaceError as error:
                assert "the interpreter shuts down" in str(error)
        tell("closed")
store = Store()
""",
    "a generator that nobody ended": GENERATOR.format("dbapi.connect(dsn)", TWO_ROWS),
    "another thread executes a statement": """
class Store:
    def __init__(self):
        self.connection = dbapi.connect(dsn)
    def __del__(self):
        self.connection.close()
        tell("closed")
store = Store()
sleeping = ("SELECT pg_sleep(60)",)
threading.Thread(target=store.connection.execute, args=sleeping, daemon=True).start()
time.sleep(0.3)
""",
    "atexit closes": """
connection = dbapi.connect(dsn)
def close():
    assert connection.execute("SELECT 1").fetchone() == (1,)
    connection.commit()
    connection.close()
    tell("closed")
atexit.register(close)
""",
    "an engine's generator that nobody ended": ENGINE
    + GENERATOR.format("engine.begin()", f"text({TWO_ROWS})"),
    "an engine's stream that nobody ended": ENGINE
    + GENERATOR.format("engine.connect().execution_options(yield_per=1)", f"text({TWO_ROWS})"),
    "an object's end disposes of an engine": ENGINE
    + """
class Store:
    def __init__(self):
        self.engine = engine
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    def __del__(self):
        self.engine.dispose()
        tell("closed")
store = Store()
""",
    "atexit disposes of an engine": ENGINE
    + """
with engine.connect() as connection:
    connection.execute(text("SELECT 1"))
def dispose():
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()
    tell("closed")
atexit.register(dispose)
""",
}


@pytest.mark.parametrize("program", AT_THE_END.values(), ids=AT_THE_END)
def test_the_end_of_the_interpreter(server: Server, program: str) -> None:
    """The thread of the loop no longer runs in it."""
    engines = server.url("postgresql+pgflight").update_query_dict({"async_fallback": "true"})
    command = [sys.executable, "-c", BEGINNING + program, server.text("postgresql")]
    command.append(engines.render_as_string(hide_password=False))
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")


@pytest.mark.parametrize("use", ["execute", "commit", "autocommit"])
def test_a_password_function_must_not_use_a_connection_of_another_thread(
    server: Server, dsn: str, use: str
) -> None:
    """It would wait in the loop's thread for one that waits for the loop."""
    shared = dbapi.connect(dsn)

    def uses_it() -> str:
        if use == "execute":
            shared.execute("SELECT 'password'")
        elif use == "commit":
            shared.commit()
        else:
            shared.autocommit = True
        return "unused"

    pid = backend(shared)
    with ThreadPoolExecutor(1) as threads:
        sleeping = threads.submit(shared.execute, "SELECT pg_sleep(2), 5")
        wait_for(server, SLEEPS, pid)
        with pytest.raises(dbapi.InterfaceError, match="such as a password function"):
            in_thread(lambda: dbapi.connect(dsn, password=uses_it))
        assert sleeping.result(SECONDS).fetchone() == (None, 5)
    shared.close()


def test_what_the_collector_ends_in_the_loops_thread(server: Server, dsn: str) -> None:
    """close() drops the connection there, other calls are refused; another thread may use it."""
    said: list[object] = []

    class Store:
        def __init__(self, connection: dbapi.Connection) -> None:
            self.connection = connection
            self.itself = self

        def __del__(self) -> None:
            try:
                self.connection.rollback()
            except dbapi.InterfaceError as error:
                said.append(error)
            self.connection.close()

    connection = dbapi.connect(dsn)
    pid = backend(connection)
    collected = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        sleeping = threads.submit(connection.execute, "SELECT pg_sleep(2)")
        wait_for(server, SLEEPS, pid)
        enabled = gc.isenabled()
        gc.disable()
        try:
            Store(connection)
            calls.loop_thread.call(gc.collect)
            calls.loop_thread.call(collected.set)
            assert collected.wait(SECONDS), "the loop's thread waits"
        finally:
            if enabled:
                gc.enable()
        with pytest.raises(dbapi.OperationalError):
            sleeping.result(SECONDS)
    assert len(said) == 1
    assert connection.closed
    wait_for(server, GONE, pid)


def test_close_does_not_wait_for_another_threads_statement(server: Server, dsn: str) -> None:
    connection = dbapi.connect(dsn)
    pid = backend(connection)
    with ThreadPoolExecutor(2) as threads:
        sleeping = threads.submit(connection.execute, "SELECT pg_sleep(600)")
        wait_for(server, SLEEPS, pid)
        queued = threads.submit(connection.execute, "SELECT 1")
        in_thread(connection.close)
        for each in (sleeping, queued):
            with pytest.raises((dbapi.OperationalError, dbapi.InterfaceError)) as caught:
                each.result(SECONDS)
            assert isinstance(caught.value, dbapi.OperationalError) or each is queued
    assert connection.closed
    connection.close()
    with dbapi.connect(dsn) as watching:
        watching.execute("SELECT pg_terminate_backend(%s)", (pid,))


def test_a_signal_handler_closes(server: Server, dsn: str) -> None:
    """The statement that it has interrupted fails, and is not waited for."""
    connection = dbapi.connect(dsn)
    pid = backend(connection)

    def interrupt() -> float:
        wait_for(server, SLEEPS, pid)
        os.kill(os.getpid(), signal.SIGUSR1)
        return time.monotonic()

    before = signal.signal(signal.SIGUSR1, lambda *_: connection.close())
    try:
        with ThreadPoolExecutor(1) as threads:
            sent = threads.submit(interrupt)
            with pytest.raises(dbapi.OperationalError):
                connection.execute("SELECT pg_sleep(20)")
            assert time.monotonic() - sent.result(SECONDS) < 10
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert connection.closed
    with dbapi.connect(dsn) as watching:
        watching.execute("SELECT pg_terminate_backend(%s)", (pid,))


def test_threads_of_a_forked_child_begin_at_once(dsn: str) -> None:
    """All of them use one loop, also where each begins it at the same moment."""
    parents = dbapi.connect(dsn)
    for _ in range(10):
        assert Child(partial(_threads_of_a_child, dsn), SECONDS).status() == 0
    assert parents.execute("SELECT 1").fetchone() == (1,)
    parents.close()


def _threads_of_a_child(dsn: str) -> int:
    sys.setswitchinterval(1e-6)
    begin = threading.Barrier(4)

    def work() -> Any:
        begin.wait()
        with dbapi.connect(dsn) as connection:
            return connection.execute("SELECT 1").fetchone()

    with ThreadPoolExecutor(4) as threads:
        answers = [each.result() for each in [threads.submit(work) for _ in range(4)]]
    names = [each.name for each in threading.enumerate()]
    return 0 if answers == [(1,)] * 4 and names.count("pgflight-dbapi") == 1 else 2


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("postgresql://u:hidden@127.0.0.1:x/d", dbapi.ProgrammingError),
        ("postgresql://u:hidden@[::1/d", dbapi.ProgrammingError),
        ("postgresql://u:hidden@127.0.0.1:99999/d", dbapi.ProgrammingError),
        ("postgresql://u:hidden@a..b/d", dbapi.OperationalError),
    ],
)
def test_addresses_that_are_none(address: str, kind: type[dbapi.Error]) -> None:
    with pytest.raises(kind) as caught:
        dbapi.connect(address)
    assert "hidden" not in str(caught.value)
    assert "hidden" not in str(caught.value.__cause__ or caught.value.__context__)
