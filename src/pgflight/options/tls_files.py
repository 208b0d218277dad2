"""Reading certificates, keys and revocation lists, with libpq's defaults and its checks.

Only :mod:`pgflight.options.tls` calls this.
"""

from __future__ import annotations

import os
import ssl
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.exc import ArgumentError

from .secret import Secret

_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


def check_files(given: Mapping[str, Any]) -> None:
    """Raise ArgumentError for a file among the TLS options ``given`` that cannot be used."""
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    set_versions(
        scratch, given.get("ssl_min_protocol_version"), given.get("ssl_max_protocol_version")
    )
    if given.get("sslrootcert") not in (None, "system"):
        load_roots(scratch, given["sslrootcert"])
    if "sslcrl" in given or "sslcrldir" in given:
        load_revocations(scratch, given.get("sslcrl"), given.get("sslcrldir"))
    if "sslcert" in given:
        _read("sslcert", given["sslcert"], lambda: Path(given["sslcert"]).read_bytes())
    if "sslkey" in given:
        _check_key(given["sslkey"])


def set_versions(context: ssl.SSLContext, oldest: str | None, newest: str | None) -> None:
    """Limit ``context`` to TLS versions; raise ArgumentError for an empty range."""
    low = oldest or os.environ.get("PGSSLMINPROTOCOLVERSION") or "TLSv1.2"
    high = newest or os.environ.get("PGSSLMAXPROTOCOLVERSION")
    for name in (low, high):
        if name is not None and name not in _VERSIONS:
            raise ArgumentError(f"{name!r} is not a TLS version; use one of {', '.join(_VERSIONS)}")
    if high is not None and _VERSIONS[high] < _VERSIONS[low]:
        raise ArgumentError(
            f"no TLS version lies between ssl_min_protocol_version={low} and "
            f"ssl_max_protocol_version={high}; raise the second or lower the first"
        )
    context.minimum_version = _VERSIONS[low]
    if high is not None:
        context.maximum_version = _VERSIONS[high]


def roots(given: str | None, mode: str) -> str | None:
    """Return the file of trusted roots, None if there is none and ``mode`` needs none.

    Raises ArgumentError if ``mode`` verifies and there is no file.
    """
    if given or os.environ.get("PGSSLROOTCERT"):
        return given or os.environ["PGSSLROOTCERT"]
    default = _default("root.crt")
    if default is not None:
        return str(default)
    if mode == "require":
        return None
    raise ArgumentError(
        f"sslmode={mode} has nothing to verify with: ~/.postgresql/root.crt does not exist; add "
        "sslrootcert=/path/to/ca.pem, or sslrootcert=system if the server's certificate comes "
        "from a public authority"
    )


def load_roots(context: ssl.SSLContext, file: str) -> None:
    """Trust the certificates in ``file``, or with ``system`` those of the operating system."""
    if file == "system":
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return
    before = context.cert_store_stats()["x509"]
    _read("sslrootcert", file, lambda: context.load_verify_locations(cafile=file))
    if context.cert_store_stats()["x509"] == before:
        raise ArgumentError(f"sslrootcert={file!r} holds no certificate; give a PEM file of roots")


def load_revocations(context: ssl.SSLContext, file: str | None, directory: str | None) -> None:
    """Refuse certificates that are revoked, if a list is given or is in its default place."""
    file = file or os.environ.get("PGSSLCRL")
    directory = directory or os.environ.get("PGSSLCRLDIR")
    if not file and not directory:
        default = _default("root.crl")
        file = str(default) if default is not None else None
    if file:
        before = context.cert_store_stats()["crl"]
        chosen = file
        _read("sslcrl", file, lambda: context.load_verify_locations(cafile=chosen))
        if context.cert_store_stats()["crl"] == before:
            raise ArgumentError(f"sslcrl={file!r} holds no revocation list; give a PEM file of one")
    if directory:
        # OpenSSL opens the lists in it by their hashed names, once it has a certificate to check
        _read("sslcrldir", directory, lambda: os.listdir(directory))
        context.load_verify_locations(capath=directory)
    if file or directory:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def load_client(
    context: ssl.SSLContext,
    certificate: str | None,
    key: str | None,
    password: Secret | str | None,
) -> None:
    """Load the client's certificate and key, if they are given or are in their default places."""
    key = key or os.environ.get("PGSSLKEY")
    certificate = certificate or os.environ.get("PGSSLCERT")
    if not certificate:
        default = _default("postgresql.crt")
        if default is None:
            if key:
                raise ArgumentError(f"sslkey={key!r} is of no use without sslcert; add sslcert")
            return
        certificate = str(default)
    if not key:
        default = _default("postgresql.key")
        key = str(default) if default is not None else None
    chosen, private = certificate, key
    _read("sslcert", chosen, lambda: Path(chosen).read_bytes())
    if private:
        _check_key(private)
    try:
        # a function: without one, OpenSSL would ask for a missing password at the terminal
        context.load_cert_chain(
            chosen,
            private,
            password=password if isinstance(password, Secret) else lambda: password or "",
        )
    except (OSError, ValueError) as error:
        hint = "the password does not open the key" if password else "does the key need sslpassword"
        raise ArgumentError(
            f"sslcert={chosen!r} with sslkey={private!r} cannot be used ({error}): check that "
            f"they belong together, or {hint}"
        ) from error


def _check_key(file: str) -> None:
    """Raise ArgumentError unless ``file`` is a private key that only its owner can read.

    The rule is libpq's: u=rw, or u=rw,g=r if root owns it.
    """
    found: os.stat_result = _read("sslkey", file, lambda: os.stat(file))
    if not stat.S_ISREG(found.st_mode):
        raise ArgumentError(f"sslkey={file!r} is not a regular file; give the path of a PEM file")
    if sys.platform == "win32":
        return
    forbidden = stat.S_IRWXG | stat.S_IRWXO
    if found.st_uid == 0:
        forbidden &= ~stat.S_IRGRP
    if found.st_mode & forbidden:
        raise ArgumentError(
            f"sslkey={file!r} can be used by others (mode {stat.S_IMODE(found.st_mode):04o}); "
            "run chmod 0600 on it (0640 is enough if root owns it)"
        )
    _read("sslkey", file, lambda: Path(file).read_bytes())


def _read(option: str, file: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ArgumentError(
            f"{option}={file!r} cannot be read: {reason}; give the path of a PEM file that this "
            "process may read"
        ) from error


def _default(name: str) -> Path | None:
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA", "")) / "postgresql"
    else:
        try:
            base = Path.home() / ".postgresql"
        except RuntimeError:  # a user without a home
            return None
    path = base / name
    return path if path.is_file() else None
