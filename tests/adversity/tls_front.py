"""A TLS front for a PostgreSQL that has no TLS: real handshakes, and the protocol behind them.

Stands where a server built without TLS (the embedded one) cannot, and for what PostgreSQL before
17 cannot: direct TLS.  It keeps the rules of `tls_server.RULES` that pg_hba.conf keeps there.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from pathlib import Path
from typing import Any

from tests.unit.tls_material import Material

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_TLS_HANDSHAKE = b"\x16"


class TLSFront:
    """Listens on loopback and forwards to the unix socket `backend`.

    With `material` it speaks TLS; without, it refuses TLS as a server with ssl=off does.
    """

    def __init__(self, backend: Path, material: Material | None) -> None:
        self._backend = backend
        self._material = material
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._context = self._make_context("server") if material else None
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def present(self, name: str) -> None:
        """Show the certificate `name` (server, revoked) from now on."""
        self._context = self._make_context(name)

    def close(self) -> None:
        """Stop listening, cut every connection and wait for the threads."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _make_context(self, name: str) -> ssl.SSLContext:
        assert self._material is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            getattr(self._material, f"{name}_cert"), getattr(self._material, f"{name}_key")
        )
        context.load_verify_locations(self._material.roots)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["postgresql"])
        return context

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        try:
            client.settimeout(30)
            with contextlib.suppress(OSError, EOFError):
                self._converse(client)
        finally:
            self._open.discard(client)
            client.close()

    def _converse(self, client: socket.socket) -> None:
        if client.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
            if self._context is None:
                return
            with self._context.wrap_socket(client, server_side=True) as encrypted:
                # PostgreSQL 17 and later refuse a direct connection without ALPN
                if encrypted.selected_alpn_protocol() == "postgresql":
                    self._forward(encrypted, _exactly(encrypted, 8))
            return
        start = _exactly(client, 8)
        if start != _SSL_REQUEST:
            self._forward(client, start)
        elif self._context is None:
            client.sendall(b"N")
            self._forward(client, _exactly(client, 8))
        else:
            client.sendall(b"S")
            with self._context.wrap_socket(client, server_side=True) as encrypted:
                self._forward(encrypted, _exactly(encrypted, 8))

    def _forward(self, client: socket.socket, start: bytes) -> None:
        (length,) = struct.unpack("!i", start[:4])
        start += _exactly(client, length - 8)
        words = start[8:].split(b"\0")
        role = dict(zip(words[::2], words[1::2])).get(b"user", b"").decode()
        refusal = self._refusal(client, role)
        if refusal is not None:
            client.sendall(_error(refusal))
            return
        with socket.socket(socket.AF_UNIX) as backend:
            backend.connect(str(self._backend))
            backend.sendall(start)
            _pump(client, backend)

    def _refusal(self, client: socket.socket, role: str) -> str | None:
        if not isinstance(client, ssl.SSLSocket):
            if role in ("tls_only", "certified") and self._context is not None:
                return f'no pg_hba.conf entry for user "{role}", no encryption'
            return None
        if role == "plain_only":
            return f'no pg_hba.conf entry for user "{role}", SSL encryption'
        certificate: dict[str, Any] = client.getpeercert() or {}
        subject = [pair for part in certificate.get("subject", ()) for pair in part]
        names = [value for key, value in subject if key == "commonName"]
        if role == "certified" and names != ["certified"]:
            return "connection requires a valid client certificate"
        return None


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        received = connection.recv(size - len(data))
        if not received:
            raise EOFError
        data += received
    return data


def _error(message: str) -> bytes:
    fields = f"SFATAL\0VFATAL\0C28000\0M{message}\0\0".encode()
    return b"E" + struct.pack("!i", len(fields) + 4) + fields


def _pump(client: socket.socket, backend: socket.socket) -> None:
    other = {client: backend, backend: client}
    while True:
        # what TLS has decrypted already does not wake select()
        pending = isinstance(client, ssl.SSLSocket) and client.pending()
        ready = [client] if pending else select.select(list(other), [], [])[0]
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            other[source].sendall(data)
