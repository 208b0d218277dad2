"""Which part of asyncpg is used: levels, their choice, socket options."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

import pytest

from fastpg import driver


def in_process(level: str, code: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FASTPG_DRIVER": level},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("level", "expected"),
    [("public", "public"), ("private", "private"), ("auto", "private"), ("", "private")],
)
def test_the_environment_chooses(level: str, expected: str) -> None:
    code = "from fastpg import driver; print(driver.capabilities().level, driver.fetch.__name__)"
    done = in_process(level, code)
    assert done.stdout.split() == [expected, f"_fetch_{expected}"], done.stderr


def test_another_value_is_an_error_that_names_the_three() -> None:
    done = in_process("privat", "import fastpg.driver")
    assert done.returncode != 0
    assert "FASTPG_DRIVER is 'privat'; set it to one of auto, private or public" in done.stderr


def test_a_missing_name_leads_to_the_public_level() -> None:
    chosen = driver._choose("auto", ("Connection._protocol",))
    assert chosen.level == "public"
    assert "lacks Connection._protocol" in chosen.reason
    with pytest.raises(ImportError, match=r"lacks Connection\._protocol; set it to auto"):
        driver._choose("private", ("Connection._protocol",))


def test_this_asyncpg_has_every_private_name() -> None:
    assert driver._missing_names() == ()


def test_a_name_that_does_not_exist_is_found_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "PRIVATE_NAMES", (("Connection", "_no_such"), ("Nowhere", "x")))
    with pytest.raises(KeyError):
        driver._missing_names()
    monkeypatch.setattr(driver, "PRIVATE_NAMES", (("Connection", "_no_such"),))
    assert driver._missing_names() == ("Connection._no_such",)


class Transport:
    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def get_extra_info(self, name: str) -> Any:
        assert name == "socket"
        return self._sock


class Connection:
    def __init__(self, sock: Any) -> None:
        self._transport = Transport(sock)


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_capabilities", driver._choose("auto", ()))


@pytest.mark.usefixtures("private")
def test_options_reach_the_socket() -> None:
    with socket.socket() as sock:
        driver.apply_socket_options(
            Connection(sock),
            {"keepalives": 1, "keepalives_idle": 33, "keepalives_interval": 7,
             "keepalives_count": 4, "tcp_user_timeout": 9000},
        )  # fmt: skip
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        if sys.platform == "linux":
            tcp = socket.IPPROTO_TCP
            assert sock.getsockopt(tcp, socket.TCP_KEEPIDLE) == 33
            assert sock.getsockopt(tcp, socket.TCP_KEEPINTVL) == 7
            assert sock.getsockopt(tcp, socket.TCP_KEEPCNT) == 4
            assert sock.getsockopt(tcp, socket.TCP_USER_TIMEOUT) == 9000


@pytest.mark.usefixtures("private")
def test_keepalives_can_be_turned_off() -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        driver.apply_socket_options(Connection(sock), {"keepalives": 0, "keepalives_idle": 33})
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


@pytest.mark.usefixtures("private")
def test_a_unix_socket_is_left_alone() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        driver.apply_socket_options(Connection(sock), {"keepalives_idle": 33})
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


def test_the_public_level_refuses_socket_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_capabilities", driver._choose("public", ()))
    with pytest.raises(ValueError, match="keepalives_idle cannot be set"):
        driver.check_socket_options({"keepalives_idle": 33})
    driver.check_socket_options({})


@pytest.mark.parametrize(
    ("version", "level", "expected"),
    [
        ("0.32.0", "private", driver._set_codec_public),
        ("0.31.0", "public", driver._set_codec_public),
        ("1.0.0.dev0", "public", driver._set_codec_public),
        ("0.30.0", "private", driver._set_codec_private),
        ("0.30.0", "public", None),
    ],
)
def test_codecs_are_set_without_a_round_trip_or_not_at_all(
    version: str, level: str, expected: Any
) -> None:
    assert driver._codec_setter(version, level) is expected
