"""The server that a command was pointed at: a URL, checked before anything connects.

`demo` and `doctor` call server_url(); `pgflight.__main__` turns CommandError into exit code 2.
SQLAlchemy is imported only when a URL is parsed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

BUILTIN_DRIVER = "postgresql+asyncpg"
OUR_DRIVER = "postgresql+pgflight"
_ACCEPTED = ("postgresql", "postgres", BUILTIN_DRIVER, OUR_DRIVER)


class CommandError(Exception):
    """A command cannot run as asked; the text is one sentence with the fix."""


def server_url(text: str, origin: str = "--url") -> URL:
    """Parse `text` as a PostgreSQL URL; the driver in it, if any, becomes the built-in one.

    `origin` is what messages call it.  Raises CommandError, without the password, if it is not one
    or names another driver.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The exception's text may carry the password.
        raise CommandError(
            f"{origin} is not a database URL: write postgresql://user:password@host:5432/database"
            " (in a password, %40 for an @ and %2F for a /)"
        ) from None
    if "@" in f"{url.host}{url.database}" or _may_have_the_rest(url):
        # what SQLAlchemy takes for the host, or what follows it, is the rest of the password
        raise CommandError(
            f"{origin} has an @ in its password, which ends it: write %40 for it, as in "
            "postgresql://user:p%40ssword@host:5432/database (a database with an @ in its name is "
            "written ?database=)"
        )
    if url.drivername not in _ACCEPTED:
        raise CommandError(
            f"{origin} names the driver {url.drivername!r}, and only PostgreSQL through asyncpg is "
            f"looked at: write {BUILTIN_DRIVER}://... or postgresql://..."
        )
    return url.set(drivername=BUILTIN_DRIVER)


def _may_have_the_rest(url: URL) -> bool:
    """Tell whether the query of `url` may be a part of the password, and its real host."""
    from pgflight.options.table import OPTIONS

    return any("@" in f"{name}{value}" for name, value in url.query.items() if name not in OPTIONS)


def shown(url: URL) -> str:
    """Return `url` without its passwords, for messages; what is not known may be one."""
    from pgflight.options.table import OPTIONS, is_secret

    hidden = {
        name: "hidden" if name not in OPTIONS or is_secret(name) or "@" in str(value) else value
        for name, value in url.query.items()
    }
    return url.set(query=hidden).render_as_string(hide_password=True)


def one_line(error: BaseException) -> str:
    """Return the message of `error` as one line; of SQLAlchemy's errors, that of the driver's."""
    from sqlalchemy.exc import DBAPIError

    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    text = " ".join(str(cause).split())
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__
