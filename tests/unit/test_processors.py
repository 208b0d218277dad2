"""Looking single values up: the mapping's answer, or that of the function behind it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.impl import Impl


def refuse(value: Any) -> Any:
    raise LookupError(f"{value!r} is not one of them")


class Unequal:
    """Hashes like a key, and cannot be compared with it."""

    def __hash__(self) -> int:
        return hash("a")

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError("compared")


def test_what_is_a_key_is_found(impl: Impl) -> None:
    mapping = {"a": 1, None: None, 2: "two"}
    look = impl.processors.lookup(mapping, refuse)
    assert [look("a"), look(None), look(2.0)] == [1, None, "two"]
    mapping["b"] = "added later"
    assert look("b") == "added later"


@pytest.mark.parametrize("value", ["c", 3, [], Unequal()])
def test_anything_else_is_left_to_the_other(impl: Impl, value: Any) -> None:
    mapping: dict[Any, Any] = {"a": 1}
    with pytest.raises(LookupError, match="is not one of them"):
        impl.processors.lookup(mapping, refuse)(value)
    assert impl.processors.lookup(mapping, lambda given: given)(value) is value


@pytest.mark.parametrize("mapping", [None, [("a", 1)], "a"])
def test_a_mapping_is_a_dict(impl: Impl, mapping: Any) -> None:
    with pytest.raises(TypeError, match="looked up in a dict"):
        impl.processors.lookup(mapping, refuse)
