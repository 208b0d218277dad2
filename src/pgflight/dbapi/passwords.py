"""Passwords on their way to asyncpg: kept from tracers, and asked of a program's function.

Used by :mod:`pgflight.dbapi.login`.  Tracers such as Sentry's collect the local variables of every
function that an error passes through, so none here holds a password while something may fail.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from asyncpg import exceptions as driver_errors
from sqlalchemy.exc import ArgumentError

from ..options.secret import Secret
from ..options.table import with_secrets_shown

_FAILED_LOGIN = "auth_failed"
"""The function of PostgreSQL's sources that raises 28P01, and 28000 behind PAM, LDAP and RADIUS."""


def _flaw(password: object) -> str | None:
    """Return why a password that a function has returned cannot be sent, None if it can."""
    if password is not None and not isinstance(password, str):
        return f"returned an object of type {type(password).__name__}, and has to return text"
    if password is not None and "\0" in password:
        return "returned text with a NUL character, which would end it"
    return None


class AskedPassword:
    """A program's password function for one login: asyncpg calls it, for each host it tries."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self.error: BaseException | None = None
        """What the function has raised last."""

    def __call__(self) -> Any:
        """Return the password, or an awaitable of it; raise what the function raises."""
        self.error = None
        try:
            return self._checked(self._function())
        except BaseException as error:
            self.error = error
            raise

    def _checked(self, password: Any) -> Any:
        if inspect.isawaitable(password):
            return self._awaited(password)
        flaw = _flaw(password)
        if flaw is None:
            return password
        del password
        raise ArgumentError(f"the function given as password {flaw}")

    async def _awaited(self, password: Awaitable[Any]) -> Any:
        try:
            return self._checked(await password)
        except BaseException as error:
            self.error = error
            raise

    def __repr__(self) -> str:
        return f"AskedPassword({self._function!r})"


def may_have_expired(error: driver_errors.PostgresError) -> bool:
    """Tell whether a login failed for its password, such as a token that has expired.

    That is 28P01, and of 28000 what the server's methods of authentication say, as PAM does of a
    token of Amazon's, or what speaks of a token, as Azure's servers do; not that a role or a line
    of pg_hba.conf is missing.
    """
    if isinstance(error, driver_errors.InvalidPasswordError):
        return True
    if not isinstance(error, driver_errors.InvalidAuthorizationSpecificationError):
        return False
    raised_by = getattr(error, "server_source_function", None)
    return raised_by == _FAILED_LOGIN or (raised_by is not None and "token" in str(error).lower())


def taking_secrets(creator: Any, *, but: str | None = None) -> Callable[..., Any]:
    """Return ``asyncpg.connect``, or a program's ``async_creator_fn``, as one that takes secrets.

    The argument named ``but`` stays hidden: asyncpg calls a password that is not text.
    """

    async def create(*args: Any, **arguments: Any) -> Any:
        hidden = {name: value for name, value in arguments.items() if name == but}
        return await creator(*map(_shown, args), **{**with_secrets_shown(arguments), **hidden})

    return create


def _shown(value: Any) -> Any:
    return value() if isinstance(value, Secret) else value


def hidden_positional(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return positional arguments of ``connect()``, of which the first is a DSN, hidden."""
    return tuple(Secret(each) if type(each) is str else each for each in args)
