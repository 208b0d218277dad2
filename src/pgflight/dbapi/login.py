"""Logging in: one new connection of asyncpg's, or one that was kept, and what the session is told.

Used by the DBAPI module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from asyncpg import exceptions as driver_errors

from .. import driver
from ..options.kinds import Secret
from ..options.startup import local_settings
from ..options.table import with_secrets_shown
from ..session import codecs
from ..session.session import Session
from .recovery.writable_servers import chooses_to_read

CONNECT_SECONDS = 10.0
"""How long logging in may take, all hosts together, if the program does not say."""


_LEAST_SECONDS = 0.1
"""For a second login, however late the first was cut off."""
_CUT = (driver_errors.ConnectionDoesNotExistError, ConnectionResetError, BrokenPipeError)
"""What asyncpg raises where a connection ends while it logs in, and the server has said nothing."""
CUT_OFF = "login that was cut off"


def _may_have_expired(password: object) -> bool:
    """Tell whether a password comes from a function, such as a token that the server may outlive.

    Asked once more, the function may return another one.
    """
    return callable(password) and not isinstance(password, Secret)


def _shown_to(creator: Any) -> Callable[..., Any]:
    """Return a program's ``async_creator_fn`` as one that takes passwords that are hidden."""

    async def create(*args: Any, **arguments: Any) -> Any:
        return await creator(*args, **with_secrets_shown(arguments))

    return create


def _silence(arguments: dict[str, Any]) -> str:
    """Return what to tell of hosts that have not let the program log in."""
    hosts, ports = (
        ", ".join(map(str, each)) if isinstance(each, (list, tuple)) else each
        for each in (arguments.get("host"), arguments.get("port"))
    )
    where = f"{hosts or 'the default host'}, port {ports or 'default'}"
    return (
        f"no connection to {where} within {arguments.get('timeout') or 0:g} seconds: nobody"
        " answers, or TLS or the login has not been completed (connect_timeout sets the bound)"
    )


class Login:
    """One connection to be made for an engine's DBAPI module, by asyncpg or by a program's creator.

    ``arguments`` are asyncpg's, in which a bound on the time is set where there is none.
    """

    def __init__(
        self,
        dbapi: Any,
        creator: Callable[..., Any] | None,
        args: tuple[Any, ...],
        arguments: dict[str, Any],
        socket_options: Mapping[str, int],
    ) -> None:
        self._dbapi = dbapi
        self._own = creator in (None, dbapi.asyncpg.connect)
        self._creator = dbapi.asyncpg.connect if self._own else _shown_to(creator)
        self._args = args
        self._arguments = arguments
        self._socket_options = socket_options
        if driver.is_private():
            self._socket_options = {**driver.FINDS_DEAD_PEERS, **socket_options}
        if self._own:
            arguments.setdefault("timeout", CONNECT_SECONDS)
        self._login: object = None
        self._is_kept = False
        self._cut_off = False
        self._refused: dict[str, str] = {}

    async def open(self) -> Any:
        """Return asyncpg's connection; raise its errors."""
        dbapi = self._dbapi
        connection = await self._kept_one() if self._own else None
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

    async def _kept_one(self) -> Any:
        self._note_login()
        return await self._dbapi.kept.connection_for(self._login)

    def _note_login(self) -> None:
        """Note with what a connection made now logs in."""
        self._login = self._args, self._dbapi.writable_servers.arguments_for(self._arguments)

    async def _log_in(self, arguments: dict[str, Any]) -> tuple[Any, dict[str, str]]:
        """Return asyncpg's connection and the settings that were refused; raise its errors."""
        connect = partial(self._connect, arguments)
        made: tuple[Any, dict[str, str]]
        try:
            try:
                made = await connect()
            except driver_errors.InvalidPasswordError:
                if not _may_have_expired(arguments.get("password")):
                    raise
                made = await connect()
        except asyncio.TimeoutError as error:
            if error.args:
                raise
            raise asyncio.TimeoutError(_silence(arguments)) from error
        return made

    async def _connect(self, arguments: dict[str, Any]) -> tuple[Any, dict[str, str]]:
        """Log in, once more in what is left of the time if the connection is cut meanwhile.

        A login has no effect that lasts.  What a program's own function does is its own affair.
        """
        connect = partial(self._dbapi.refused_settings.connect, self._creator, self._args)
        loop = asyncio.get_running_loop()
        began = loop.time()
        made: tuple[Any, dict[str, str]]
        try:
            made = await connect(arguments)
            if not self._own or not made[0].is_closed():
                return made
        except _CUT as error:
            if not self._own or driver.server_severity(error) is not None:
                raise
        if (seconds := arguments.get("timeout")) is not None:
            left = seconds - (loop.time() - began)
            arguments = {**arguments, "timeout": max(left, _LEAST_SECONDS)}
        made = await connect(arguments)
        self._cut_off = True
        return made

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
        if self._cut_off:
            session.counters.heal(CUT_OFF, "a connection is made again")
