"""Run one command while a throw-away PostgreSQL runs; `{url}` in its arguments is the server's URL.

    python tools/with_server.py local -- python tools/wheels.py --url {url} python3.12

The server is the newest installed here (local) or the one from PyPI (embedded). Needs pgflight in
the running interpreter; `.ci/run` uses it. The exit status is the command's.
"""

from __future__ import annotations

import argparse
import subprocess

from pgflight.cli.server.cluster import TempCluster, embedded_binaries, find_binaries


def main() -> int:
    """Start the server, run the command, stop the server."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["local", "embedded"])
    parser.add_argument("command", nargs="+", metavar="...", help="after --")
    options = parser.parse_args()
    bindir = find_binaries() if options.kind == "local" else embedded_binaries()
    if bindir is None:
        raise SystemExit("no PostgreSQL server is installed here; use `embedded` or install one")
    with TempCluster(bindir, settings={"fsync": "off"}) as cluster:
        command = [part.replace("{url}", cluster.url()) for part in options.command]
        return subprocess.run(command).returncode


if __name__ == "__main__":
    raise SystemExit(main())
