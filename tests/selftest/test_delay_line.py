"""The line of the benchmarks that takes time: it delays, loses nothing, and counts."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from sqlalchemy.engine import URL

from bench.peers.line import DelayLine
from bench.peers.process import PeerError

TRIP = 0.02


class Ends(NamedTuple):
    """The line, a client of it, and what accepts its connections in the server's place."""

    line: DelayLine
    client: socket.socket
    server: socket.socket


@pytest.fixture
def ends() -> Iterator[Ends]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        with DelayLine(URL.create("postgresql", host=host, port=port)) as line:
            line.set_round_trip(TRIP)
            client = socket.create_connection((line.url.host, line.url.port))
            server, _ = listener.accept()
            for end in (client, server):
                end.settimeout(30)
            with client, server:
                yield Ends(line, client, server)


def receive(end: socket.socket, size: int) -> bytes:
    """Return `size` bytes, or fewer at the end of the stream."""
    data = b""
    while len(data) < size and (piece := end.recv(1 << 20)):
        data += piece
    return data


def ask(ends: Ends, question: bytes = b"?", answer: bytes = b"!") -> None:
    """Let one round trip happen."""
    ends.client.sendall(question)
    assert receive(ends.server, len(question)) == question
    ends.server.sendall(answer)
    assert receive(ends.client, len(answer)) == answer


def test_no_byte_arrives_before_its_time(ends: Ends) -> None:
    start = time.perf_counter()
    for _ in range(5):
        ask(ends)
    assert time.perf_counter() - start >= 5 * TRIP


def test_what_is_sent_at_once_travels_at_once(ends: Ends) -> None:
    """It is a line that takes time, not one that takes turns: ten questions take one trip."""
    ends.line.set_round_trip(2.0)
    start = time.perf_counter()
    for _ in range(10):
        ends.client.sendall(b"?")
        time.sleep(0.002)
    assert receive(ends.server, 10) == b"?" * 10
    assert 1.0 <= time.perf_counter() - start < 10.0


def test_the_delay_can_be_changed_while_it_is_in_use(ends: Ends) -> None:
    ask(ends)
    ends.line.set_round_trip(0.0)
    ask(ends)
    ends.line.set_round_trip(0.2)
    start = time.perf_counter()
    ask(ends)
    assert time.perf_counter() - start >= 0.2


def test_nothing_is_lost_or_changed(ends: Ends) -> None:
    payload = bytes(range(256)) * 512
    ask(ends, payload, payload[::-1])


def test_bursts_are_counted_and_not_pieces(ends: Ends) -> None:
    line = ends.line
    ends.client.sendall(b"one")
    time.sleep(0.002)
    ends.client.sendall(b"two")
    assert receive(ends.server, 6) == b"onetwo"
    assert (line.bursts(), line.answers()) == (1, 0)
    ends.server.sendall(b"answer")
    assert receive(ends.client, 6) == b"answer"
    assert (line.bursts(), line.answers()) == (1, 1)
    ends.server.sendall(b"more of it")
    assert receive(ends.client, 10) == b"more of it"
    ask(ends)
    assert (line.bursts(), line.answers()) == (2, 2)


def test_an_answer_counts_when_it_has_arrived(ends: Ends) -> None:
    ends.line.set_round_trip(2.0)
    ends.client.sendall(b"?")
    receive(ends.server, 1)
    ends.server.sendall(b"!")
    assert ends.line.answers() == 0
    assert receive(ends.client, 1) == b"!"
    assert ends.line.answers() == 1


def test_the_end_travels_as_well_after_all_that_was_sent(ends: Ends) -> None:
    ends.client.sendall(b"last words")
    ends.client.shutdown(socket.SHUT_WR)
    assert receive(ends.server, 100) == b"last words"
    ends.server.sendall(b"farewell")
    ends.server.close()
    assert receive(ends.client, 100) == b"farewell"


def test_a_question_that_it_does_not_know_ends_it() -> None:
    with DelayLine(URL.create("postgresql", host="127.0.0.1", port=1)) as line:
        with pytest.raises(PeerError, match="the delay line ended"):
            line.ask("nothing of the kind")
