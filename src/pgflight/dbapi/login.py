"""Logging in: one new connection of asyncpg's, or one that was kept, and what the session is told.

Used by the DBAPI module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import asyncpg
from asyncpg import exceptions as driver_errors

from .. import driver
from ..options.engine_options import EngineOptions
from ..options.hosts import count_hosts
from ..options.kinds import PerHost
from ..options.secret import Secret
from ..options.startup import local_settings
from ..options.tls import chooses_plaintext
from ..session import codecs
from ..session.session import Session
from .passwords import AskedPassword, may_have_expired, taking_secrets
from .recovery.standby_servers import ASKS_FOR_STANDBY, CAME_BACK, PREFERRED, Way
from .recovery.writable_servers import asked_for, chooses_to_read

CONNECT_SECONDS = PerHost(10.0)
"""How long logging in to a host may take if the program does not say."""
_BOUND = "(connect_timeout sets the bound)"
_LEAST_SECONDS = 0.1
"""For another login, however late the first was cut off."""
_MOST_LOGINS = 3
_CUT = (driver_errors.ConnectionDoesNotExistError, ConnectionResetError, BrokenPipeError)
"""What asyncpg raises where a connection ends while it logs in, and the server has said nothing."""
CUT_OFF = "login that was cut off"


class Login:
    """One connection to be made for an engine's DBAPI module, by asyncpg or by a program's creator.

    ``arguments`` are asyncpg's, in which a bound on the time is set where there is none.
    """

    def __init__(
        self,
        dbapi: Any,
        options: EngineOptions,
        args: tuple[Any, ...],
        arguments: dict[str, Any],
        socket_options: Mapping[str, int],
    ) -> None:
        self._dbapi = dbapi
        creator = options.async_creator_fn
        self._own = creator in (None, dbapi.asyncpg.connect)
        # not a method of ours: in a cycle the connection would wait for the garbage collector
        self._creator = None if self._own else taking_secrets(creator)
        self._args = args
        self._arguments = arguments
        self._socket_options = socket_options
        if driver.is_private():
            self._socket_options = {**driver.FINDS_DEAD_PEERS, **socket_options}
        if self._own:
            arguments.setdefault("timeout", CONNECT_SECONDS)
        self._guards = not (options.allow_cleartext_password or chooses_plaintext(arguments))
        self._login: object = None
        self._is_kept = self._came_back = False
        self._cut_off = False
        self._refused: dict[str, str] = {}

    async def open(self) -> Any:
        """Return asyncpg's connection; raise its errors."""
        dbapi = self._dbapi
        connection = None
        if self._own:
            self._note_login()
            connection = dbapi.standby_servers.take(self._login)
            self._came_back = connection is not None
            if connection is None:
                connection = await dbapi.kept.connection_for(self._login)
                self._is_kept = connection is not None
        if connection is None:
            if self._own:
                made = await dbapi.writable_servers.connect(self._log_in, self._arguments)
                self._note_login()  # a search for a server that can write may have been given up
            else:
                made = await self._log_in(self._arguments)
            connection, self._refused = made
        try:
            if self._own:
                # here and not in on_connect(), so that codecs set by the program come later
                await codecs.set_value_codecs(connection)
            if self._socket_options and isinstance(connection, dbapi.asyncpg.Connection):
                driver.apply_socket_options(connection, self._socket_options)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _note_login(self) -> None:
        """Note with what a connection made now logs in."""
        self._login = self._args, self._dbapi.writable_servers.arguments_for(self._arguments)

    async def _to_a_standby(self) -> Any:
        """Return a connection of asyncpg's to a standby, not to the primary; raise its errors."""
        wanted = asked_for(self._arguments)
        wanted = "standby" if wanted == PREFERRED else wanted
        made = await self._log_in({**self._arguments, "target_session_attrs": wanted})
        connection, refused = made
        # a pooler in front of one of the hosts may not say
        if refused or getattr(connection.get_settings(), "in_hot_standby", None) != "on":
            connection.terminate()
            return None
        return connection

    async def _log_in(self, arguments: dict[str, Any]) -> tuple[Any, dict[str, str]]:
        """Return asyncpg's connection and the settings that were refused; raise its errors."""
        connect = partial(self._connect_uncut, arguments)
        made: tuple[Any, dict[str, str]]
        try:
            made = await connect()
        except driver_errors.InvalidAuthorizationSpecificationError as error:
            password = arguments.get("password")
            # asked once more, a function may return another one; a text is the same
            if not callable(password) or isinstance(password, Secret):
                raise
            if not may_have_expired(error):
                raise
            made = await connect()
        return made

    async def _connect_uncut(self, arguments: dict[str, Any]) -> tuple[Any, dict[str, str]]:
        """Log in, again in what is left of the time if the connection is cut meanwhile.

        A login has no effect that lasts.  What a program's own function does is its own affair.
        """
        creator = self._creator or self._connect
        connect = partial(self._dbapi.refused_settings.connect, creator, self._args)
        loop = asyncio.get_running_loop()
        began, seconds = loop.time(), arguments.get("timeout")
        made: tuple[Any, dict[str, str]]
        for attempt in range(1, _MOST_LOGINS + 1):
            try:
                made = await connect(arguments)
                if not self._own or not made[0].is_closed():
                    self._cut_off = attempt > 1
                    return made
            except _CUT as error:
                last = attempt == _MOST_LOGINS
                if last or not self._own or driver.server_severity(error) is not None:
                    raise
            if seconds is not None:
                _, total = _bounds(seconds, count_hosts(arguments))
                left = (total or 0) - (loop.time() - began)
                arguments = {**arguments, "timeout": max(left, _LEAST_SECONDS)}
        raise driver_errors.ConnectionDoesNotExistError(
            f"the connection was closed as soon as it had been made, {_MOST_LOGINS} times"
        )

    async def _connect(self, *args: Any, **arguments: Any) -> Any:
        """Return a connection of asyncpg's; raise its errors, and say where it took too long."""
        given, hosts = arguments.pop("timeout"), count_hosts(arguments)
        each, total = _bounds(given, hosts)
        asked = arguments.get("password")
        if callable(asked) and not isinstance(asked, Secret):
            arguments["password"] = asked = AskedPassword(asked)
        loop = arguments.pop("loop", None) or asyncio.get_running_loop()
        wanted = arguments.get("target_session_attrs")
        asks = getattr(wanted, "value", wanted) not in (None, "any")
        watched = driver.LoginLoop(loop, seconds=each, guards=self._guards, asks=asks)
        connect: Callable[..., Any] | None = None
        connection = None
        try:
            if self._dbapi.asyncpg is asyncpg:
                connect = self._dbapi.parsed.connector(args, arguments)
            if connect is None:
                connect = taking_secrets(self._dbapi.asyncpg.connect, but="password")
            connection = await connect(*args, **arguments, timeout=total, loop=watched)
        except (OSError, asyncio.TimeoutError) as error:
            if isinstance(asked, AskedPassword) and asked.error is error:
                raise
            if watched.refused is not None and isinstance(error, ConnectionError):
                # sslmode=allow: the server does not speak TLS, which asyncpg tried next
                raise watched.refused from error
            if error is watched.silent:
                raise asyncio.TimeoutError(f"{error} {_BOUND}") from error
            if isinstance(error, asyncio.TimeoutError) and not error.args:
                told = watched.told(each or total or 0)
                raise asyncio.TimeoutError(f"{told} {_BOUND}") from (watched.silent or error)
            if watched.silent is not None:
                raise error from watched.silent
            raise
        finally:
            watched.finish(connection)
        return connection

    def tell(self, session: Session) -> None:
        """Tell the session of the connection what it is."""
        read_only = session.transactions.read_only
        read_only.chosen = chooses_to_read(self._arguments)
        self._dbapi.writable_servers.meet(read_only=read_only.began_read_only)
        if self._refused:
            session.statements.route.set_in_transactions(local_settings(self._refused))
        elif self._own:
            session.login = self._login
            session.counters.kept = int(self._is_kept)
            self._tell_side(session)
        if self._came_back:
            session.counters.heal(CAME_BACK, "a connection is made again")
        if self._cut_off:
            session.counters.heal(CUT_OFF, "a connection is made again")

    def _tell_side(self, session: Session) -> None:
        """Note whether an engine that reads from a standby has been led to one."""
        read_only = session.transactions.read_only
        wanted = asked_for(self._arguments)
        if wanted not in ASKS_FOR_STANDBY or read_only.on_standby() is None:
            return
        servers, way = self._dbapi.standby_servers, Way(self._login, self._to_a_standby)
        if read_only.on_standby():
            servers.meet_standby(way)
            read_only.wants_standby = True
        elif wanted == PREFERRED and count_hosts(self._arguments) > 1:
            servers.meet_primary(way)
            read_only.wants_standby = True


def _bounds(given: float | None, hosts: int) -> tuple[float | None, float | None]:
    """Return the seconds for each of several hosts and for all; of one alone, asyncpg sees to it.

    asyncpg's ``timeout`` is for all hosts, and each has its share, so that one which does not
    answer leaves time for the others.
    """
    if given is None or hosts == 1:
        return None, given
    if isinstance(given, PerHost):
        return float(given), given * hosts
    return given / hosts, given
