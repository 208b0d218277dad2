"""The numbers of an engine as a dictionary and as Prometheus' text, without a server."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from pgflight._greenlet_stacks import GreenletStacks
from pgflight.session.statistics import NOTHING, Statistics

SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\d+)')
NUMBERS = NOTHING._replace(
    round_trips=7,
    healed={"a plan": 2, 'a "quoted"\nline \\': 1},
    greenlet_stacks=GreenletStacks(3, 4, 5, 6, 7, "why"),
)


def samples(text: str) -> dict[tuple[str, str], int]:
    """Return the samples of a text by name and labels; fail for a line that is none."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert (match[1], match[2] or "") not in found
            found[match[1], match[2] or ""] = int(match[3])
    return found


def test_a_dictionary_is_what_json_knows() -> None:
    document = json.loads(json.dumps(NUMBERS.as_dict()))
    assert list(document) == list(Statistics._fields)
    assert document["round_trips"] == 7
    assert document["healed"] == NUMBERS.healed
    assert document["greenlet_stacks"] == NUMBERS.greenlet_stacks._asdict()


def test_every_number_is_in_the_text() -> None:
    text = NUMBERS.prometheus()
    found = samples(text)
    assert found["pgflight_round_trips_total", ""] == 7
    assert found["pgflight_healed_total", 'reason="a plan"'] == 2
    assert found["pgflight_healed_total", r'reason="a \"quoted\"\nline \\"'] == 1
    assert found["pgflight_greenlet_stacks_hits_total", ""] == 3
    assert found["pgflight_greenlet_stacks_bytes", ""] == 6
    plain = {name for name in Statistics._fields if isinstance(getattr(NUMBERS, name), int)}
    assert {f"pgflight_{name}_total" for name in plain} <= {name for name, _ in found}
    assert text.endswith("\n")


def test_each_name_has_a_type_in_front() -> None:
    typed = dict(re.findall(r"^# TYPE (\w+) (counter|gauge)$", NUMBERS.prometheus(), re.MULTILINE))
    assert {name for name, _ in samples(NUMBERS.prometheus())} <= set(typed)
    assert typed["pgflight_greenlet_stacks_kept"] == "gauge"
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in typed.items())


def test_labels_are_of_the_engine() -> None:
    found = samples(NUMBERS.prometheus({"engine": 'o"1'}))
    assert found["pgflight_round_trips_total", r'engine="o\"1"'] == 7
    assert found["pgflight_healed_total", r'engine="o\"1",reason="a plan"'] == 2
    assert found["pgflight_greenlet_stacks_hits_total", ""] == 3


def test_values_of_labels_are_written_as_text() -> None:
    url = make_url("postgresql+asyncpg://scott:tiger@host/shop")
    text = NUMBERS.prometheus({"pool": 1, "of": None, "is": True, "url": url})
    values = r'pool="1",of="None",is="True",url="postgresql+asyncpg://scott:***@host/shop"'
    assert samples(text)["pgflight_round_trips_total", values] == 7
    assert "tiger" not in text


@pytest.mark.parametrize("name", ["1a", "a-b", "", "é", "reason", "__name__", 1, None])
def test_names_that_are_no_labels(name: Any) -> None:
    with pytest.raises(ValueError, match="label"):
        NUMBERS.prometheus({name: "x"})
