"""The table of every connect option: its name, its possible values and where it goes.

:mod:`pgflight.options.url` reads the table, :mod:`pgflight.options.service_files` and
:mod:`pgflight.options.suggestions` look up names. The names are those of libpq (its documentation's
section "Parameter Key Words"), of ``asyncpg.connect`` and of SQLAlchemy's built-in dialect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy.exc import ArgumentError

from . import kinds as kinds
from .kinds import Kind, Refusal, choice, impossible, whole
from .secret import Secret


class Target(Enum):
    """Where an option's value ends up."""

    ARGUMENT = "the argument of the same name of asyncpg.connect"
    ADDRESS = "asyncpg's host and port"
    SERVICE = "other options, read from a connection service file"
    SETTING = "asyncpg's server_settings"
    TLS = "asyncpg's ssl and direct_tls, see pgflight.options.tls"
    SOCKET = "the TCP socket, once connected"
    DIALECT = "pgflight itself"
    ENGINE = "pgflight's dialect, for all connections of an engine: not in connect_args"
    CHECK = "nowhere: asyncpg does this and nothing else, other values are refused"


@dataclass(frozen=True)
class Option:
    """One option of a URL's query, of ``connect_args`` or of a service file."""

    name: str
    kind: Kind
    target: Target
    meaning: str
    source: str
    """Who defined it, and since when."""
    alias_of: str = ""
    from_url: bool = True
    secret: bool = False

    def coerce(self, value: object, place: str) -> Any:
        """Return ``value`` converted; raise ArgumentError naming it, ``place`` and the fix."""
        try:
            return self.kind.convert(value)
        except Refusal as refusal:
            raise ArgumentError(
                f"{self._shown(value)} {place} is not supported: {refusal}"
            ) from None
        except Exception:  # also of the value's own methods
            example = f", for example {self.name}={self.kind.example}" if self.kind.example else ""
            raise ArgumentError(
                f"{self._shown(value)} {place} is not valid; it takes {self.kind.expects}{example}"
            ) from None

    def _shown(self, value: object) -> str:
        try:
            return f"{self.name}={'...' if self.secret else value!r}"
        except Exception:  # an int of more digits than Python prints
            return f"{self.name}=<{type(value).__name__}>"


_UTF8 = {"utf8": "UTF8", "utf-8": "UTF8", "unicode": "UTF8", "auto": "UTF8"}
_NO_BINDING = (
    "asyncpg does not implement SCRAM-SHA-256-PLUS; in place of channel_binding=require write "
    "sslmode=verify-full, which proves who the server is, and sslrootcert=system where its "
    "certificate comes from a public authority, as Neon's does"
)
_NODE_TLS = (
    "node-postgres's, which would have every sslmode verify the certificate; leave it out and "
    "write sslmode=verify-full"
)
_NO_GSS = "asyncpg cannot encrypt with GSSAPI; leave gssencmode out and use sslmode=verify-full"
_NO_AUTH = "asyncpg answers whatever method the server asks for; leave require_auth out"
_NO_WALSENDER = "asyncpg does not speak the replication protocol; leave replication out"
_NO_OAUTH = "asyncpg cannot log in with OAuth; use a password, a certificate or GSSAPI"
_NO_SCRAM_KEY = "asyncpg logs in with the password itself; use password or passfile"
_NO_CERTMODE = "asyncpg cannot enforce it; leave sslcertmode out and give sslcert, or do not"
_KEYLOG = "set the environment variable SSLKEYLOGFILE instead"
_OFF = {"0": "off", "false": "off", "no": "off"}
_WALSENDER: dict[str, str] = dict.fromkeys(("on", "true", "yes", "1", "database"), _NO_WALSENDER)
_PROTOCOL_32 = "asyncpg speaks protocol 3.0; leave min_protocol_version out"


# one or two lines per option, to be read as a table
# fmt: off
def _table() -> Iterator[Option]:
    to = Target
    option = Option

    yield option("host", kinds.HOSTS, to.ADDRESS, "host names, addresses or socket directories",
                 "libpq, asyncpg")
    yield option("port", kinds.PORTS, to.ADDRESS, "one port for all hosts, or one for each",
                 "libpq, asyncpg")
    yield option("hostaddr", kinds.TEXT, to.ADDRESS, "addresses, in place of host", "libpq")
    balance = choice("disable", "random", synonyms={"true": "random", "1": "random",
                                                    "false": "disable", "0": "disable"})
    yield option("load_balance_hosts", balance, to.ADDRESS,
                 "the order in which several hosts are tried", "libpq 16")
    yield option("loadBalanceHosts", balance, to.ADDRESS, "the same in a JDBC URL", "pgjdbc",
                 alias_of="load_balance_hosts")

    yield option("user", kinds.TEXT, to.ARGUMENT, "role to log in as", "libpq, asyncpg")
    yield option("password", kinds.PASSWORD, to.ARGUMENT, "its password", "libpq, asyncpg",
                 secret=True)
    yield option("passfile", kinds.PATH, to.ARGUMENT, "file of passwords", "libpq 10, asyncpg 0.16")
    yield option("database", kinds.TEXT, to.ARGUMENT, "database to use", "asyncpg")
    yield option("dbname", kinds.TEXT, to.ARGUMENT, "database to use", "libpq",
                 alias_of="database")
    yield option("timeout", kinds.SECONDS, to.ARGUMENT,
                 "seconds to wait for a connection, all hosts together", "asyncpg")
    yield option("connect_timeout", kinds.PATIENCE, to.ARGUMENT,
                 "the same for each host, 0 or less to wait forever", "libpq",
                 alias_of="timeout")
    yield option("command_timeout", kinds.SECONDS, to.ARGUMENT,
                 "seconds that a statement may take", "asyncpg")
    yield option("statement_cache_size", whole(example=0), to.ARGUMENT,
                 "statements in asyncpg's own cache, 0 for none", "asyncpg")
    yield option("max_cached_statement_lifetime", kinds.LIFETIME, to.ARGUMENT,
                 "seconds that asyncpg keeps a statement", "asyncpg")
    yield option("max_cacheable_statement_size", whole(example=15360), to.ARGUMENT,
                 "length of the longest statement that asyncpg keeps, 0 for any", "asyncpg")
    yield option("target_session_attrs",
                 choice("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
                 to.ARGUMENT, "which of several hosts to use", "libpq 10, asyncpg 0.28")
    yield option("krbsrvname", kinds.TEXT, to.ARGUMENT, "Kerberos service name",
                 "libpq, asyncpg 0.30")
    yield option("gsslib", choice("gssapi", "sspi"), to.ARGUMENT, "library for Kerberos",
                 "libpq, asyncpg 0.30")
    yield option("dsn", kinds.DSN, to.ARGUMENT,
                 "a libpq URI; the other options override its parts", "asyncpg", from_url=False,
                 secret=True)
    for name, meaning in (
        ("loop", "event loop"),
        ("connection_class", "class of the driver's connection"),
        ("record_class", "class of the driver's records"),
    ):
        yield option(name, kinds.ANYTHING, to.ARGUMENT, meaning, "asyncpg", from_url=False)

    yield option("service", kinds.TEXT, to.SERVICE, "section of the service file",
                 "libpq, asyncpg 0.31")
    yield option("servicefile", kinds.PATH, to.SERVICE, "the service file", "asyncpg 0.31")

    yield option("server_settings", kinds.SETTINGS, to.SETTING, "run-time settings of the server",
                 "asyncpg")
    yield option("options", kinds.TEXT, to.SETTING, "the same, as -c name=value", "libpq")
    yield option("application_name", kinds.TEXT, to.SETTING, "what pg_stat_activity shows",
                 "libpq 9.0")
    yield option("fallback_application_name", kinds.TEXT, to.SETTING,
                 "application_name if none is given", "libpq 9.0")

    yield option("ssl", kinds.SSL, to.TLS, "true (as verify-full, with the system's roots), "
                 "false, an sslmode or an SSLContext", "asyncpg")
    yield option("sslmode", kinds.SSL_MODE, to.TLS, "whether to encrypt and what to verify",
                 "libpq")
    yield option("sslrootcert", kinds.PATH, to.TLS, "file of trusted roots, or system", "libpq")
    yield option("sslcert", kinds.PATH, to.TLS, "file of the client's certificate", "libpq")
    yield option("sslkey", kinds.PATH, to.TLS, "file of the client's private key", "libpq")
    yield option("sslpassword", kinds.KEY_PASSWORD, to.TLS, "password of that key", "libpq 13",
                 secret=True)
    yield option("sslcrl", kinds.PATH, to.TLS, "file of revoked certificates", "libpq")
    yield option("sslcrldir", kinds.PATH, to.TLS, "directory of such files", "libpq 14")
    versions = choice("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
    yield option("ssl_min_protocol_version", versions, to.TLS, "oldest TLS accepted (TLSv1.2)",
                 "libpq 13")
    yield option("ssl_max_protocol_version", versions, to.TLS, "newest TLS accepted", "libpq 13")
    yield option("sslnegotiation", choice("postgres", "direct"), to.TLS,
                 "whether TLS starts at once", "libpq 17")
    yield option("direct_tls", kinds.FLAG, to.TLS, "the same: true is direct", "asyncpg 0.26")

    yield option("keepalives", choice("1", "0", synonyms={"true": "1", "false": "0"}), to.SOCKET,
                 "whether TCP asks after a silent peer", "libpq 9.0")
    yield option("keepalives_idle", whole(example=30), to.SOCKET,
                 "seconds of silence before it asks, 0 for the system's", "libpq 9.0")
    yield option("keepalives_interval", whole(example=10), to.SOCKET,
                 "seconds between questions, 0 for the system's", "libpq 9.0")
    yield option("keepalives_count", whole(example=3), to.SOCKET,
                 "unanswered questions before it gives up, 0 for the system's", "libpq 9.0")
    yield option("tcp_user_timeout", whole(example=30000), to.SOCKET,
                 "milliseconds that sent data may stay unacknowledged", "libpq 12")

    yield option("prepared_statement_cache_size", whole(example=100), to.DIALECT,
                 "prepared statements of each connection, 0 for none", "SQLAlchemy")
    yield option("prepared_statement_name_func", kinds.CALLABLE, to.DIALECT,
                 "makes the names of prepared statements", "SQLAlchemy", from_url=False)
    yield option("async_creator_fn", kinds.CALLABLE, to.DIALECT, "used for asyncpg.connect",
                 "SQLAlchemy", from_url=False)
    yield option("async_fallback", kinds.FLAG, to.DIALECT, "synchronous use", "SQLAlchemy 2.0")
    yield option("pipeline", choice("auto", "begin", "off"), to.DIALECT,
                 "which waits of a unit of work are saved", "pgflight")
    yield option("pooler", choice("auto", "none", "session", "transaction"), to.DIALECT,
                 "the connection pooler in between, by its mode", "pgflight")
    yield option("ping_bypass_window", kinds.WINDOW, to.DIALECT,
                 "seconds after its last use in which a connection is not pinged", "pgflight")
    yield option("reset_timeout", kinds.LIFETIME, to.DIALECT,
                 "seconds in which a ROLLBACK or a ping has to be answered", "pgflight")
    yield option("commit_timeout", kinds.LIFETIME, to.DIALECT,
                 "seconds in which a COMMIT has to be", "pgflight")
    yield option("heal", choice("first", "savepoint"), to.DIALECT,
                 "which statements of a unit of work somebody's DDL cannot fail", "pgflight")
    yield option("in_array_threshold", kinds.THRESHOLD, to.ENGINE,
                 "number of elements from which an IN list is one array", "pgflight")
    yield option("allow_cleartext_password", kinds.FLAG, to.DIALECT,
                 "whether a password may be sent in clear text over TCP without TLS, as "
                 "sslmode=disable allows", "pgflight")
    yield option("array_insert", kinds.FLAG, to.DIALECT,
                 "whether INSERTs of many rows go through arrays", "pgflight")
    yield option("array_dml", kinds.FLAG, to.DIALECT,
                 "whether upserts, UPDATEs and DELETEs of many rows do", "pgflight")

    check = to.CHECK
    yield option("channel_binding", choice("prefer", "disable", refused={"require": _NO_BINDING}),
                 check, "tie the login to the TLS channel", "libpq 13")
    yield option("gssencmode", choice("prefer", "disable", refused={"require": _NO_GSS}),
                 check, "encryption by GSSAPI", "libpq 12")
    yield option("gssdelegation", choice("0", refused={"1": _NO_GSS}), check,
                 "pass Kerberos credentials on", "libpq 16")
    yield option("client_encoding", choice("UTF8", synonyms=_UTF8), check,
                 "encoding on the wire", "libpq 9.1")
    yield option("replication", choice("off", synonyms=_OFF, refused=_WALSENDER), check,
                 "replication protocol", "libpq")
    yield option("require_auth", impossible(_NO_AUTH), check, "login methods", "libpq 16")
    yield option("requirepeer", impossible("asyncpg cannot ask who owns a socket; leave it out"),
                 check, "owner of the server process", "libpq 9.1")
    yield option("sslcompression", choice("0", refused={"1": "TLS libraries dropped it"}), check,
                 "TLS compression", "libpq")
    yield option("sslsni", choice("1", refused={"0": "asyncpg always names the host"}), check,
                 "name the host when TLS starts", "libpq 14")
    yield option("sslcertmode", choice("allow", refused=dict.fromkeys(
                     ("disable", "require"), _NO_CERTMODE)),
                 check, "send a client certificate", "libpq 16")
    yield option("uselibpqcompat", choice("true", synonyms={"1": "true"}, refused=dict.fromkeys(
                     ("false", "0"), _NODE_TLS)),
                 check, "sslmode as in libpq", "node-postgres")
    yield option("sslkeylogfile", impossible(_KEYLOG), check, "TLS keys, to debug", "libpq 18")
    yield option("min_protocol_version", choice("3.0", refused=dict.fromkeys(
                     ("3.2", "latest"), _PROTOCOL_32)),
                 check, "oldest protocol accepted", "libpq 18")
    yield option("max_protocol_version", choice("3.0", "3.2", "latest"), check,
                 "newest protocol accepted", "libpq 18")
    for name in ("scram_client_key", "scram_server_key"):
        yield option(name, impossible(_NO_SCRAM_KEY), check, "login by key", "libpq 18",
                     secret=True)
    for name in ("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"):
        yield option(name, impossible(_NO_OAUTH), check, "login by OAuth", "libpq 18",
                     secret=True)
# fmt: on


OPTIONS: dict[str, Option] = {option.name: option for option in _table()}
"""Every option by its name."""


_SECRETS = frozenset(name for name, option in OPTIONS.items() if option.secret)


def is_secret(name: str) -> bool:
    """Tell whether the value of an option is not to be shown."""
    return name in _SECRETS


def with_secrets_hidden(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return connect options whose passwords are :class:`~pgflight.options.secret.Secret`."""
    return {
        name: Secret(value) if name in _SECRETS and type(value) is str else value
        for name, value in arguments.items()
    }


def with_secrets_shown(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return connect options whose passwords are text again."""
    return {
        name: value() if isinstance(value, Secret) else value for name, value in arguments.items()
    }
