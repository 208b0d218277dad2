"""The parent's end of the peers: starts worker.py, asks it, ends it. line.py derives from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy.engine import URL

from bench.peers.spec import PEERS

ROOT = Path(__file__).parents[2]
_ANSWER_SECONDS = 120.0
_STOP_SECONDS = 20.0
_OURS = ("PGFLIGHT_IMPL", "PGFLIGHT_DRIVER")

P = TypeVar("P", bound="Process")


class PeerError(RuntimeError):
    """A worker failed, died or did not answer; the message holds its traceback."""


class Process:
    """A process that answers questions on a pipe: a line of JSON for each.

    `name` is what its errors call it, `environment` what is added to ours.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=ROOT,
            env=inherited | dict(environment),
        )
        try:
            self.versions: dict[str, str] = self.ask("hello")
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def ask(self, action: str, **arguments: Any) -> Any:
        """Let the worker do `action` and return its value; PeerError when it cannot."""
        assert self._process.stdin is not None and self._process.stdout is not None
        guard = threading.Timer(_ANSWER_SECONDS, self._process.kill)
        guard.start()
        try:
            self._process.stdin.write(json.dumps({"do": action, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        finally:
            guard.cancel()
        if not line:
            status = self._process.wait(_STOP_SECONDS)
            raise PeerError(
                f"{self.name} ended with status {status} during {action!r} or did"
                f" not answer within {_ANSWER_SECONDS:g} s"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self.name}, {action} {arguments}:\n{answer['error']}")
        return answer["value"]

    def stop(self) -> None:
        """End the worker and wait for it."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except OSError:
                pass
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self: P) -> P:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class PeerProcess(Process):
    """One running worker; it knows no server before it is introduced to one.

    `wrapper` is a command that runs the worker, such as a debugger's.
    """

    def __init__(self, peer: str, *wrapper: str) -> None:
        self.peer = peer
        self.introduced = False
        command = [*wrapper, sys.executable, "-m", "bench.peers.worker", peer]
        super().__init__(f"the worker of {peer}", command, PEERS[peer].environment())

    def introduce(self, url: URL, schema: str) -> None:
        """Tell the worker where the server is and in which schema its tables stand."""
        self.ask("address", url=url.render_as_string(hide_password=False), schema=schema)
        self.introduced = True
