"""What the clients ask for: a request for each operation, and the mix of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from bench.app.models import DOCUMENTS, ORDERS, body

MIX = "mix"


class Request(NamedTuple):
    """One HTTP request; `body` is JSON, or empty."""

    method: str
    path: str
    body: bytes = b""

    def raw(self, host: str) -> bytes:
        """Return its bytes on a connection that is kept open."""
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: {host}\r\n"
        if self.body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n"
        return head.encode() + b"\r\n" + self.body


def _order(random: Random) -> int:
    return random.randint(1, ORDERS)


def _get(random: Random) -> Request:
    return Request("GET", f"/orders/{_order(random)}")


def _get_whole(random: Random) -> Request:
    return Request("GET", f"/orders/{_order(random)}/items")


def _listed(random: Random) -> Request:
    return Request("GET", f"/orders?after={random.randrange(ORDERS - 20)}&limit=20")


def _search(random: Random) -> Request:
    ids = sorted(random.sample(range(1, ORDERS + 1), random.randint(2, 12)))
    return Request("GET", "/search?" + "&".join(f"ids={number}" for number in ids))


def _create(random: Random) -> Request:
    items = [
        {"product": f"product {n}", "price": f"{random.randint(1, 999)}.50", "amount": n}
        for n in range(1, 4)
    ]
    order = {"customer": f"customer {random.randrange(97)}", "items": items}
    return Request("POST", "/orders", json.dumps(order).encode())


def _update(random: Random) -> Request:
    status = random.choice(("new", "paid", "sent", "done"))
    return Request("PUT", f"/orders/{_order(random)}", json.dumps({"status": status}).encode())


def _document(random: Random) -> Request:
    number = random.randint(1, DOCUMENTS)
    if random.random() < 0.7:
        return Request("GET", f"/documents/{number}")
    return Request("PUT", f"/documents/{number}", json.dumps(body(number)).encode())


OPERATIONS: dict[str, Callable[[Random], Request]] = {
    "get": _get,
    "get with selectinload": _get_whole,
    "list of 20 with selectinload": _listed,
    "search with IN of 2 to 12": _search,
    "create with 3 items": _create,
    "get, change, commit": _update,
    "JSONB document": _document,
}
# Out of a hundred requests.
SHARES = (34, 14, 12, 12, 8, 10, 10)


def request(operation: str, random: Random) -> Request:
    """Return the next request of an operation, or of the mix."""
    if operation == MIX:
        (operation,) = random.choices(list(OPERATIONS), SHARES)
    return OPERATIONS[operation](random)
