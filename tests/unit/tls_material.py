"""Certificates, keys and revocation lists made for the tests of TLS, unit and adversity."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

KEY_PASSWORD = "open sesame"

ENVIRONMENT = (
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMAXPROTOCOLVERSION",
    "PGSSLNEGOTIATION",
    "SSLKEYLOGFILE",
)
"""What else decides about TLS."""


def isolate(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Make `home` the user's, with an empty .postgresql, and take TLS out of the environment."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    (home / ".postgresql").mkdir()


@dataclass(frozen=True)
class Material:
    """Paths of PEM files; the server's certificates are for `localhost` only."""

    directory: Path

    def __getattr__(self, name: str) -> str:
        """Return the path of a file: `roots`, `other_roots`, `server_cert`, `server_key`, ..."""
        path = self.directory / f"{name}.pem"
        if not path.exists():
            raise AttributeError(name)
        return str(path)


def make_material(directory: Path) -> Material:
    """Write everything into `directory`.

    `roots` signed the server (`server_cert`, `server_key`), a server whose certificate is revoked
    (`revoked_cert`, `revoked_key`) and a client with common name `certified` (`client_cert`,
    `client_key`, and `locked_key`, which needs KEY_PASSWORD); `other_roots` signed nothing;
    `crl` revokes the one, `empty_crl` nothing.
    """
    ca = trustme.CA()
    server, revoked = ca.issue_cert("localhost"), ca.issue_cert("localhost")
    client = ca.issue_cert("certified@example.org", common_name="certified")
    _write(directory, "roots", ca.cert_pem.bytes())
    _write(directory, "other_roots", trustme.CA().cert_pem.bytes())
    for name, leaf in (("server", server), ("revoked", revoked), ("client", client)):
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        _write(directory, f"{name}_cert", chain)
        _write(directory, f"{name}_key", leaf.private_key_pem.bytes())
    _write(directory, "locked_key", _locked(client.private_key_pem.bytes()))
    _write(directory, "crl", _revocation_list(ca, revoked))
    _write(directory, "empty_crl", _revocation_list(ca))
    _write(directory, "garbage", b"not a certificate\n")
    return Material(directory)


def _write(directory: Path, name: str, content: bytes) -> None:
    path = directory / f"{name}.pem"
    path.touch(0o600)
    path.write_bytes(content)


def _locked(key_pem: bytes) -> bytes:
    key = serialization.load_pem_private_key(key_pem, None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(KEY_PASSWORD.encode()),
    )


def _revocation_list(ca: trustme.CA, *revoked: trustme.LeafCert) -> bytes:
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now - day)
        .next_update(now + day)
    )
    for leaf in revoked:
        certificate = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(now - day).build())
    key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    signed = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    return signed.public_bytes(serialization.Encoding.PEM)
