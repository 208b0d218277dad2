"""The service's process: `bench.app.serve asyncio|uvloop [frozen]`, its database in DATABASE_URL.

Prints the port that it listens on, and serves until it is told to end by SIGTERM.
"""

from __future__ import annotations

import os
import socket
import sys

import uvicorn

from bench.app.service import service


def main() -> None:
    """Serve on a free port of the loopback address."""
    loop, *rest = sys.argv[1:]
    if loop not in ("asyncio", "uvloop") or rest not in ([], ["frozen"]):
        raise SystemExit(f"{' '.join(sys.argv[1:])!r}: give asyncio or uvloop, and perhaps frozen")
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    # asyncio sets it for sockets that name their protocol, which this one does not: the second part
    # of an answer would wait 40 ms for the acknowledgement of the first
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        service(os.environ["DATABASE_URL"], frozen=bool(rest)),
        loop=loop,
        http="httptools",
        log_level="warning",
        access_log=False,
    )
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
