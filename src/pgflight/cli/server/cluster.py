"""A throw-away PostgreSQL server: `python -m pgflight demo` and the test fixtures start one.

The server belongs to this process. It ends with `stop()`, at interpreter exit, and, through a guard
process that holds the other end of a pipe, when this process is killed.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from sqlalchemy.engine import URL

from .binaries import embedded_binaries, find_binaries, server_version, shared_directory, usable_by
from .processes import run, start_guard, unprivileged_account

__all__ = ["TempCluster", "embedded_binaries", "find_binaries"]

_START_SECONDS = 60
_STOP_SECONDS = 30
_PORT_ATTEMPTS = 5
_LOG_TAIL_LINES = 30


class TempCluster:
    """One server in a directory of its own, reached by TCP on loopback and by a Unix socket.

    `bindir` holds initdb, postgres and pg_ctl; `settings` are lines of postgresql.conf; `user` is
    a superuser that authenticates with `password` by SCRAM everywhere. As root, the server runs
    as an unprivileged account.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        bindir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        database: str = "test",
        user: str = "scott",
        password: str = "tiger",
    ) -> None:
        self.settings = dict(settings or {})
        self.database = database
        self.user = user
        self.password = password
        self._account = unprivileged_account()
        self._bindir = usable_by(bindir, self._account)
        self.version = server_version(self._bindir)
        self._directory: Path | None = None
        self._port: int | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    @property
    def port(self) -> int:
        """The TCP port; RuntimeError while the server is not running."""
        if self._port is None:
            raise RuntimeError("the temporary PostgreSQL is not running; call start() first")
        return self._port

    @property
    def directory(self) -> Path:
        """The directory of everything the server owns; RuntimeError before start()."""
        if self._directory is None:
            raise RuntimeError("the temporary PostgreSQL is not running; call start() first")
        return self._directory

    @property
    def socket_dir(self) -> Path:
        """The directory of the Unix socket; RuntimeError before start()."""
        return self.directory

    @property
    def log(self) -> Path:
        """The server's log file; RuntimeError before start()."""
        return self.directory / "log"

    def start(self) -> None:
        """Create the cluster and start its server.

        Raises RuntimeError with the output of the failing program and the tail of the server log.
        """
        if self._directory is not None:
            raise RuntimeError("the temporary PostgreSQL is running already; call stop() first")
        self._directory = Path(tempfile.mkdtemp(prefix="pgflight-", dir=shared_directory()))
        atexit.register(self.stop)
        try:
            if self._account is not None:
                os.chown(self._directory, self._account.uid, self._account.gid)
            pg_ctl = self._bindir / "pg_ctl"
            self._guard = start_guard(pg_ctl, self._directory, self._account)
            self._create()
            self._start_on_free_port()
        except BaseException:
            self.stop()
            raise

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server and remove its directory; nothing happens if it is not running.

        `mode` is pg_ctl's: "immediate", "fast" or "smart".
        """
        atexit.unregister(self.stop)
        directory, self._directory, self._port = self._directory, None, None
        guard, self._guard = self._guard, None
        if directory is None or self._owner != os.getpid():  # a forked child owns no server
            return
        if (directory / "data" / "postmaster.pid").exists():
            self._stop_server(directory, mode)
        shutil.rmtree(directory, ignore_errors=True)
        if guard is not None:
            guard.communicate(b"stopped\n", timeout=_STOP_SECONDS)

    def restart(self, mode: str = "fast") -> None:
        """Stop the server with pg_ctl's `mode` and start it again: same data, same port.

        Raises RuntimeError as start() does.
        """
        self._stop_server(self.directory, mode)
        error = self._launch()
        if error is not None:
            raise self._failure("restart", error)

    def url(
        self,
        driver: str = "postgresql+asyncpg",
        *,
        unix: bool = False,
        database: str | None = None,
    ) -> str:
        """Return the SQLAlchemy URL of `database` (default: the cluster's own), with password."""
        query = {"host": str(self.socket_dir), "port": str(self.port)} if unix else {}
        url = URL.create(
            driver,
            self.user,
            self.password,
            None if unix else self.host,
            None if unix else self.port,
            self.database if database is None else database,
            query,
        )
        return url.render_as_string(hide_password=False)

    def __enter__(self) -> TempCluster:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _create(self) -> None:
        secret = self.directory / "password"
        secret.touch(0o600)
        secret.write_text(self.password + "\n")
        if self._account is not None:
            os.chown(secret, self._account.uid, self._account.gid)
        arguments = [
            *("--pgdata", str(self._data), "--username", self.user, "--pwfile", str(secret)),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
        ]
        self._run("initdb", *arguments)
        secret.unlink()
        if self.database != "postgres":
            quoted = self.database.replace('"', '""')
            # Single-user mode needs no password and no second program (createdb).
            self._run(
                *("postgres", "--single", "-D", str(self._data), "postgres"),
                stdin=f'CREATE DATABASE "{quoted}"\n',
            )

    def _start_on_free_port(self) -> None:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            port = _free_port()
            self._write_settings(port)
            error = self._launch()
            if error is None:
                self._port = port
                return
            # Another process may have taken the port since it was found free.
            if attempt == _PORT_ATTEMPTS or "Address already in use" not in self._log_tail():
                raise self._failure("start", error)
            self.log.unlink()

    def _write_settings(self, port: int) -> None:
        settings = {
            **self.settings,
            "listen_addresses": self.host,
            "port": str(port),
            "unix_socket_directories": str(self.socket_dir),
        }
        lines = [f"{name} = '{_quoted(value)}'\n" for name, value in settings.items()]
        # Read after postgresql.conf and replaced as a whole, so that a retry leaves no old port.
        (self._data / "postgresql.auto.conf").write_text("".join(lines))

    def _launch(self) -> subprocess.SubprocessError | None:
        arguments = ["-D", str(self._data), "-l", str(self.log), "-w", "-t", str(_START_SECONDS)]
        try:
            run([str(self._bindir / "pg_ctl"), *arguments, "start"], self._account, cwd=self._data)
        except subprocess.SubprocessError as error:
            return error
        return None

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        command = [str(self._bindir / program), *arguments]
        try:
            run(command, self._account, cwd=self.directory, stdin=stdin)
        except subprocess.SubprocessError as error:
            raise self._failure(program, error) from error

    def _stop_server(self, directory: Path, mode: str) -> None:
        data = directory / "data"
        command = [str(self._bindir / "pg_ctl"), "-D", str(data), "-m", mode, "-w"]
        try:
            run([*command, "-t", str(_STOP_SECONDS), "stop"], self._account, cwd=directory)
        except (OSError, subprocess.SubprocessError):
            _kill_postmaster(data / "postmaster.pid")

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _log_tail(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def _failure(self, what: str, error: subprocess.SubprocessError) -> RuntimeError:
        major, minor = self.version
        said = str(getattr(error, "output", "") or error).strip()
        return RuntimeError(
            f"the temporary PostgreSQL {major}.{minor} of {self._bindir} failed in {what}: "
            f"{said}\n{self._log_tail()}".rstrip()
        )


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((TempCluster.host, 0))
        port: int = probe.getsockname()[1]
        return port


def _quoted(value: str) -> str:
    if "\n" in value:
        raise ValueError(f"a server setting is one line of text, not {value!r}")
    return value.replace("'", "''")


def _kill_postmaster(pid_file: Path) -> None:
    try:
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    except (OSError, ValueError, IndexError):
        return
