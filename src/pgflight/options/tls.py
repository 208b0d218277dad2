"""TLS as libpq does it: from the ``ssl*`` options to asyncpg's ``ssl`` and ``direct_tls``.

:mod:`pgflight.options.url` calls :func:`check_tls` when an engine is made and :func:`tls_arguments`
for each connection.  The meaning is that of libpq's documentation, section "SSL Support":

=========== =================== ===================
sslmode     certificate's chain server's name
=========== =================== ===================
disable     no TLS
allow       unencrypted, then TLS; verifies nothing
prefer      TLS, then unencrypted; verifies nothing
require     only with a root    no
verify-ca   yes                 no
verify-full yes                 yes
=========== =================== ===================

Where libpq would connect with less security than requested, this raises ArgumentError: a named
file is missing, roots are given under ``prefer``, options contradict each other.  Like libpq it
refuses a private key that others can read, and does not use TLS on a unix socket.  ``ssl=True`` is
asyncpg's: ``verify-full`` with the system's roots.  It means the same in a URL (where libpq reads
``ssl=true`` as ``require``): if the stronger mode does not work, connecting fails with an error.
"""

from __future__ import annotations

import os
import ssl
import sys
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ssl import SSLContext
from typing import Any

from sqlalchemy.exc import ArgumentError

from . import tls_files
from .kinds import SSL_MODES
from .secret import Secret
from .table import with_secrets_shown

_CLIENT_OPTIONS = (
    "sslcert",
    "sslkey",
    "sslpassword",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
)
"""What asyncpg can be told under ``allow`` and ``prefer``, through a DSN only."""


@dataclass(frozen=True)
class TLSOptions:
    """The options with target TLS, as given; None for those that are not."""

    ssl: bool | str | SSLContext | None = None
    sslmode: str | None = None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    sslpassword: Secret | str | None = None
    sslcrl: str | None = None
    sslcrldir: str | None = None
    ssl_min_protocol_version: str | None = None
    ssl_max_protocol_version: str | None = None
    sslnegotiation: str | None = None
    direct_tls: bool | None = None

    @property
    def files(self) -> dict[str, Any]:
        """What was given beyond a mode and the way to start TLS."""
        beyond = [field.name for field in fields(self) if field.name not in _HOW]
        return {name: getattr(self, name) for name in beyond if getattr(self, name) is not None}

    @property
    def direct(self) -> bool | None:
        """Whether TLS starts without asking the server first."""
        if self.sslnegotiation is None:
            return self.direct_tls
        return self.sslnegotiation == "direct"

    @property
    def mode(self) -> str | None:
        """The mode that was asked for, as an sslmode."""
        if isinstance(self.ssl, bool):
            return "verify-full" if self.ssl else "disable"
        return self.ssl if isinstance(self.ssl, str) else self.sslmode

    @property
    def system_roots(self) -> bool:
        """Whether the operating system's roots are asked for."""
        if self.sslrootcert is None and self.ssl is True:
            return True
        return (self.sslrootcert or os.environ.get("PGSSLROOTCERT")) == "system"


_HOW = frozenset({"ssl", "sslmode", "sslnegotiation", "direct_tls"})


def check_tls(options: Mapping[str, Any], *, unix: bool) -> None:
    """Raise ArgumentError for ``options`` that contradict each other or name unusable files.

    Options that are not given may still come with ``connect_args``, so a missing one is no error.
    ``unix`` says that all hosts are socket directories, where TLS is not used.
    """
    tls = TLSOptions(**options)
    _check_agreement(tls)
    if unix or isinstance(tls.ssl, SSLContext):
        return
    if tls.mode is not None:
        _check_strength(tls, tls.mode)
    tls_files.check_files(tls.files)


def tls_arguments(options: Mapping[str, Any], *, unix: bool, dsn: bool) -> dict[str, Any]:
    """Return the arguments ``ssl``, ``direct_tls`` and ``dsn`` for asyncpg.connect.

    ``unix`` says that all hosts are socket directories, ``dsn`` that the user has given a DSN,
    which asyncpg then reads.  Files are read each time, so that renewed certificates are used.
    Raises ArgumentError.
    """
    if not options:
        return {}
    tls = TLSOptions(**options)
    _check_agreement(tls)
    direct = {} if tls.direct is None else {"direct_tls": tls.direct}
    if isinstance(tls.ssl, SSLContext):
        return {"ssl": tls.ssl, **direct}
    if dsn:
        return {**_beside_dsn(tls), **direct}
    if unix:
        return {"ssl": False}
    mode = _effective_mode(tls)
    _check_strength(tls, mode)
    if mode == "disable":
        return {"ssl": mode}
    if mode in ("allow", "prefer"):
        # the only way to have asyncpg's negotiation and a client certificate at once
        client = {name: tls.files[name] for name in _CLIENT_OPTIONS if name in tls.files}
        tls_files.check_files(client)
        query = urllib.parse.urlencode(with_secrets_shown(client))
        return {"ssl": mode, **({"dsn": f"postgresql://?{query}"} if query else {})}
    if tls.ssl is True and not tls.files and not tls.direct:
        return {"ssl": True, **direct}
    return {"ssl": _context(tls, mode), **direct}


def chooses_plaintext(arguments: Mapping[str, Any]) -> bool:
    """Tell whether asyncpg's arguments, a DSN or PGSSLMODE say that there is to be no TLS."""
    given = arguments.get("ssl")
    if given is None and isinstance(arguments.get("dsn"), (str, Secret)):
        given = _mode_of_dsn(arguments["dsn"])
    if given is None:
        given = os.environ.get("PGSSLMODE")
    return given is False or str(given) == "disable"


def _mode_of_dsn(dsn: Secret | str) -> str | None:
    words = urllib.parse.urlsplit(dsn() if isinstance(dsn, Secret) else dsn).query
    return dict(urllib.parse.parse_qsl(words)).get("sslmode")


def _beside_dsn(tls: TLSOptions) -> dict[str, Any]:
    if tls.files:  # a context made here would silently replace what the DSN says
        raise ArgumentError(
            f"{', '.join(tls.files)} beside dsn would hide the DSN's own TLS options; write them "
            "into the DSN"
        )
    given = tls.ssl if tls.ssl is not None else tls.sslmode
    return {} if given is None else {"ssl": given}


def _effective_mode(tls: TLSOptions) -> str:
    if tls.mode is not None:
        return tls.mode
    mode = os.environ.get("PGSSLMODE") or ("verify-full" if tls.system_roots else "prefer")
    if mode not in SSL_MODES:
        raise ArgumentError(f"PGSSLMODE={mode!r} is not valid; use one of {', '.join(SSL_MODES)}")
    return mode


def _check_agreement(tls: TLSOptions) -> None:
    if None not in (tls.direct_tls, tls.sslnegotiation) and tls.direct != tls.direct_tls:
        raise ArgumentError(
            f"direct_tls={tls.direct_tls} and sslnegotiation={tls.sslnegotiation} contradict each "
            "other; leave one out"
        )
    if isinstance(tls.ssl, SSLContext):
        _check_context(tls, tls.ssl)
    elif tls.ssl is not None and tls.sslmode not in (None, tls.mode):
        raise ArgumentError(
            f"ssl={tls.ssl} asks for {tls.mode} and sslmode asks for {tls.sslmode}; leave one out"
        )


def _check_context(tls: TLSOptions, context: SSLContext) -> None:
    if tls.files:
        raise ArgumentError(
            f"{', '.join(tls.files)} would be ignored beside ssl=<SSLContext>; load them into "
            "the context, or leave the context out"
        )
    verifies_chain = context.verify_mode == ssl.CERT_REQUIRED
    if (
        tls.sslmode == "disable"
        or (tls.sslmode in ("verify-ca", "verify-full") and not verifies_chain)
        or (tls.sslmode == "verify-full" and not context.check_hostname)
    ):
        raise ArgumentError(
            f"sslmode={tls.sslmode} and ssl=<SSLContext with verify_mode "
            f"{context.verify_mode.name}, check_hostname {context.check_hostname}> contradict "
            "each other; leave sslmode out or change the context"
        )


def _check_strength(tls: TLSOptions, mode: str) -> None:
    weak = SSL_MODES.index(mode) < SSL_MODES.index("require")
    if tls.direct and weak:
        raise ArgumentError(
            f"direct TLS needs sslmode=require, verify-ca or verify-full, not {mode}; "
            "there is no unencrypted connection to fall back to"
        )
    if tls.sslrootcert == "system" and mode != "verify-full":
        raise ArgumentError(
            f"sslrootcert=system proves nothing under sslmode={mode}, since anybody can get a "
            "certificate from a public authority; use sslmode=verify-full"
        )
    for name in ("sslrootcert", "sslcrl", "sslcrldir"):
        if weak and mode != "disable" and name in tls.files:
            raise ArgumentError(
                f"{name}={tls.files[name]!r} would be ignored under sslmode={mode}; "
                "add sslmode=verify-full (or verify-ca if the name does not match)"
            )


def _context(tls: TLSOptions, mode: str) -> SSLContext:
    if tls.ssl is True and tls.system_roots:
        context = ssl.create_default_context()
    else:
        context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full"
    tls_files.set_versions(context, tls.ssl_min_protocol_version, tls.ssl_max_protocol_version)
    roots = "system" if tls.system_roots else tls_files.roots(tls.sslrootcert, mode)
    if roots is None:
        if tls.sslcrl or tls.sslcrldir:
            raise ArgumentError(
                f"sslcrl={tls.sslcrl or tls.sslcrldir!r} is of no use without roots; add "
                "sslrootcert"
            )
        context.verify_mode = ssl.CERT_NONE
    else:
        tls_files.load_roots(context, roots)
        tls_files.load_revocations(context, tls.sslcrl, tls.sslcrldir)
    tls_files.load_client(context, tls.sslcert, tls.sslkey, tls.sslpassword)
    if ssl.HAS_ALPN:  # PostgreSQL 17 refuses direct TLS without it
        context.set_alpn_protocols(["postgresql"])
    log = os.environ.get("SSLKEYLOGFILE")
    if log and not sys.flags.ignore_environment:
        context.keylog_filename = log
    return context
