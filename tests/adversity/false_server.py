"""A server that says what a test has it say: whether it speaks TLS, and what it asks at the login.

It runs in threads of its own. `heard` are the bytes that clients sent behind their startup message.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Any

CLEARTEXT = b"R" + struct.pack("!ii", 8, 3)
MD5 = b"R" + struct.pack("!ii4s", 12, 5, b"salt")
SCRAM = b"R" + struct.pack("!ii", 23, 10) + b"SCRAM-SHA-256\0\0"
NOTICE = b"N" + struct.pack("!i", 4 + 3) + b"Mx\0"
_VERSION = b"server_version\00015.0\0"
_PARAMETER = b"S" + struct.pack("!i", 4 + len(_VERSION)) + _VERSION
WELCOME = b"R" + struct.pack("!ii", 8, 0) + _PARAMETER + b"Z" + struct.pack("!ic", 5, b"I")
_NO_TLS = b"SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry\0\0"
NO_TLS = b"E" + struct.pack("!i", 4 + len(_NO_TLS)) + _NO_TLS
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class FalseServer:
    """Answers the request for TLS with `tls` and the startup message with `says`, piece by piece.

    With `tls` empty it never answers the request; with `says` empty, never the startup message. A
    context says that it speaks TLS; `says_by_tls` is what it then says instead of `says`.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        says: Sequence[bytes] = (),
        *,
        tls: bytes | ssl.SSLContext = b"N",
        says_by_tls: Sequence[bytes] | None = None,
    ) -> None:
        self.says = says
        self.tls = tls
        self.says_by_tls = says if says_by_tls is None else says_by_tls
        self.heard = self.heard_by_tls = b""
        self.logins = 0
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), client:
            if client.recv(8, socket.MSG_PEEK) == _SSL_REQUEST:
                client.recv(8)
                if isinstance(self.tls, ssl.SSLContext):
                    client.sendall(b"S")
                    with self.tls.wrap_socket(client, server_side=True) as encrypted:
                        self._open.append(encrypted)
                        for data in self._log_in(encrypted, self.says_by_tls):
                            self.heard_by_tls += data
                    return
                client.sendall(self.tls)
            for data in self._log_in(client, self.says):
                self.heard += data

    def _log_in(self, client: socket.socket, says: Sequence[bytes]) -> Iterator[bytes]:
        """Say what is to be said to a startup message; yield what the client answers."""
        if client.recv(65536):
            self.logins += 1
        for piece in says:
            client.sendall(piece)
            if len(says) > 1:
                threading.Event().wait(0.02)
        while data := client.recv(65536):
            yield data

    def close(self) -> None:
        """Stop to listen, cut every connection and wait for the threads."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for client in self._open:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def false_server(says: Sequence[bytes] = (), **options: Any) -> Iterator[FalseServer]:
    """Run a server for a block; `options` are those of FalseServer."""
    running = FalseServer(says, **options)
    try:
        yield running
    finally:
        running.close()
