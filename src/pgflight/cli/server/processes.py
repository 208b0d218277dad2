"""Programs of PostgreSQL as processes: which account may run them, and running one.

`binaries.py` and `cluster.py` use it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

# "read" fails at end of file: the parent died before it could say that it did the work itself.
_GUARD = 'read -r _ && exit 0; "$1" -D "$2/data" -m immediate -w stop; rm -rf -- "$2"'


class Account(NamedTuple):
    """An unprivileged user of this machine: PostgreSQL's programs refuse to run as root."""

    name: str
    uid: int
    gid: int


@cache
def unprivileged_account() -> Account | None:
    """Return the account to switch to if this process is root's, None if it is not.

    Raises RuntimeError if none of the usual accounts exists or can be used.
    """
    if sys.platform == "win32":
        raise RuntimeError("a temporary PostgreSQL needs Linux or macOS; pass the URL of a server")
    if os.geteuid() != 0:
        return None
    import pwd

    tried = ("nobody", "postgres", "daemon")
    for name in tried:
        try:
            entry = pwd.getpwnam(name)
            account = Account(name, entry.pw_uid, entry.pw_gid)
            # In a user namespace an account can exist and still not be mapped.
            run(["/bin/sh", "-c", "exit 0"], account, cwd=Path("/"))
        except (KeyError, OSError, subprocess.SubprocessError):
            continue
        if account.uid != 0:
            return account
    raise RuntimeError(
        f"PostgreSQL does not run as root and none of the accounts {', '.join(tried)} can be "
        "used; create one of them, or run as an ordinary user"
    )


def run(
    command: list[str],
    account: Account | None,
    *,
    cwd: Path,
    timeout: float = 120.0,
    stdin: str = "",
) -> str:
    """Run `command` as `account` (None: the current one); return its output on both streams.

    `timeout` is in seconds. Raises subprocess.CalledProcessError with the output, OSError if
    the program cannot be executed, subprocess.TimeoutExpired.
    """
    # A file and not a pipe: a daemon that inherits the pipe would keep it open forever.
    with tempfile.TemporaryFile() as out:
        failed: subprocess.SubprocessError | None = None
        try:
            subprocess.run(
                command,
                check=True,
                cwd=cwd,
                env=environment(),
                input=stdin.encode(),
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            failed = error
        out.seek(0)
        text = out.read().decode(errors="replace")
    if failed is not None:
        failed.output = text  # type: ignore[attr-defined]
        raise failed
    return text


def environment() -> dict[str, str]:
    """Return our environment without libpq's variables, and with messages in English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}


def start_guard(pg_ctl: Path, directory: Path, account: Account | None) -> subprocess.Popen[bytes]:
    """Start a process that stops the server in `directory` and removes it if we are killed.

    Any line written to its standard input ends it without that.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "guard", str(pg_ctl), str(directory)],
        cwd="/",
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # the parent handles Ctrl-C in the terminal
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
