"""The gates of the benchmarks fail when they should: without a server, on invented figures."""

from __future__ import annotations

import copy
import re
from collections.abc import Set
from pathlib import Path
from typing import Any

import pytest

from bench import gates
from bench.catalogue import BENCHMARKS, Benchmark, Comparison, Lane
from bench.gates import Gate, GateError
from bench.verdicts import judge

COMPARISON = Comparison("compiled", "builtin", "compiled")
TINY = {
    "tiny": Benchmark(
        "tiny",
        "a tiny one",
        "time",
        tuple(Lane(peer, peer, "tiny") for peer in ("builtin", "compiled", "python")),
        (COMPARISON, Comparison("python", "builtin", "python")),
    ),
    "weight": Benchmark(
        "weight",
        "its memory",
        "memory",
        tuple(Lane(peer, peer, "tiny") for peer in ("builtin", "compiled")),
        (COMPARISON,),
    ),
}
DOCUMENT: dict[str, Any] = {
    "every": {"python": {"floor": 0.95, "aim": 1.05}},
    "tiny": {"compiled": {"floor": 1.5, "aim": 2.0}},
    "weight": {"compiled": {"ceiling": 0.85, "aim": 0.75}},
}
FLOOR = Gate(COMPARISON, "cpu", "floor", 1.5, 2.0)
CEILING = Gate(COMPARISON, "memory", "ceiling", 0.85, 0.75)


def figures(builtin: list[float], compiled: list[float], measure: str = "cpu") -> gates.Figures:
    return {"builtin": {measure: builtin}, "compiled": {measure: compiled}}


def speed(ratio: float) -> gates.Figures:
    """Return figures whose medians have that ratio, with an outlier that must not count."""
    return figures([ratio, ratio, 100.0], [1.0, 1.0, 0.001])


def never(labels: Set[str]) -> gates.Figures:
    raise AssertionError("nothing was missed: there is nothing to repeat")


def test_a_gate_that_holds_is_not_repeated() -> None:
    (verdict,) = judge([FLOOR], speed(1.5), never)
    assert verdict.held and not verdict.aim_reached and verdict.repeated is None
    assert judge([FLOOR], speed(2.0), never)[0].aim_reached


@pytest.mark.parametrize("second, held", [(1.6, True), (1.4, False)])
def test_a_missed_gate_is_repeated_once(second: float, held: bool) -> None:
    asked = []

    def again(labels: Set[str]) -> gates.Figures:
        asked.append(labels)
        return speed(second)

    (verdict,) = judge([FLOOR], speed(1.49), again)
    assert asked == [{"builtin", "compiled"}]
    assert verdict.held is held
    assert verdict.first.ratio == pytest.approx(1.49)
    assert verdict.final.ratio == pytest.approx(second)
    assert "floor 1.5" in str(verdict) and "first 1.49" in str(verdict)


def test_a_repetition_judges_only_what_was_missed() -> None:
    """Two gates that each miss in one of two measurements have each been met once."""
    easy = Gate(COMPARISON, "cpu", "floor", 1.2, 2.0)
    good, bad = judge([easy, FLOOR], speed(1.3), lambda labels: speed(1.1))
    assert good.held and good.repeated is None
    assert not bad.held


def test_a_ceiling_is_missed_from_above() -> None:
    def memory(ratio: float) -> gates.Figures:
        return figures([100.0], [100.0 * ratio], "memory")

    assert not judge([CEILING], memory(0.86), lambda labels: memory(0.9))[0].held
    (verdict,) = judge([CEILING], memory(0.85), never)
    assert verdict.held and not verdict.aim_reached
    assert judge([CEILING], memory(0.75), never)[0].aim_reached


def test_the_three_ratios() -> None:
    rounds = figures([2.0, 4.0, 9.0], [1.0, 4.0, 3.0])
    assert FLOOR.ratio(rounds) == pytest.approx(4 / 3)
    assert FLOOR.paired(rounds) == pytest.approx(2)
    assert FLOOR.best(rounds) == pytest.approx(2)


def test_slack_eases_what_is_noisy_and_nothing_else() -> None:
    for measure in ("cpu", "wall"):
        assert Gate(COMPARISON, measure, "floor", 1.5, 2.0, 0.9).limit == pytest.approx(1.35)
    for measure in ("memory", "calls"):
        assert Gate(COMPARISON, measure, "ceiling", 0.9, 0.8, 0.9).limit == 0.9


@pytest.mark.parametrize("given", ["", "0.9", "1"])
def test_slack_is_read(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gates.SLACK_VARIABLE, given)
    assert gates.slack() == float(given or 1)


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "ninety", "nan", "90%"])
def test_slack_that_is_no_factor_is_an_error(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gates.SLACK_VARIABLE, given)
    with pytest.raises(GateError, match="PGFLIGHT_BENCH_SLACK"):
        gates.slack()


def test_a_good_file_has_no_problems() -> None:
    found, problems = gates.parse(DOCUMENT, TINY)
    assert not problems
    assert [(gate.comparison.name, gate.bound) for gate in found["tiny"]] == [
        ("compiled", 1.5),
        ("python", 0.95),
    ]
    assert [(gate.measure, gate.key) for gate in found["weight"]] == [("memory", "ceiling")]


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("unknown benchmark", {"tinny": {"compiled": {"floor": 1.5, "aim": 2}}}, "no such benchmark"),
    ("missing benchmark", {"tiny": None}, r"\[tiny\] is missing"),
    ("missing comparison", {"tiny": {}}, "'compiled' has no gate"),
    ("nothing for every", {"every": {}}, "'python' has no gate"),
    (
        "unknown comparison",
        {"tiny": {"compiled": {"floor": 1.5, "aim": 2}, "complied": {"floor": 1, "aim": 1}}},
        "'complied' is none of",
    ),
    ("misspelt key", {"tiny": {"compiled": {"flor": 1.5, "aim": 2}}}, "'flor' is none of"),
    ("no floor", {"tiny": {"compiled": {"aim": 2}}}, "floor is missing"),
    ("no aim", {"tiny": {"compiled": {"floor": 1.5}}}, "aim is missing"),
    ("a floor in words", {"tiny": {"compiled": {"floor": "1.5", "aim": 2}}}, "not a number"),
    ("a floor of zero", {"tiny": {"compiled": {"floor": 0, "aim": 2}}}, "not a number above 0"),
    ("a true floor", {"tiny": {"compiled": {"floor": True, "aim": 2}}}, "not a number above 0"),
    ("aim below floor", {"tiny": {"compiled": {"floor": 1.5, "aim": 1.4}}}, "easier than"),
    ("aim above ceiling", {"weight": {"compiled": {"ceiling": 0.8, "aim": 0.9}}}, "easier than"),
    ("a floor of memory", {"weight": {"compiled": {"floor": 1.5, "aim": 2}}}, "'floor' is none of"),
    ("not a table", {"tiny": 1.5}, "is not a table"),
    ("not a pair", {"tiny": {"compiled": 1.5}}, "is not a table of floor and aim"),
    (
        "unknown measure",
        {"tiny": {"measures": ["gpu"], "compiled": {"floor": 1.5, "aim": 2}}},
        "measures is a list out of cpu, wall",
    ),
    (
        "no measures",
        {"tiny": {"measures": [], "compiled": {"floor": 1.5, "aim": 2}}},
        "measures is a list out of cpu, wall",
    ),
    ("unknown in every", {"every": {"pyton": {"floor": 1, "aim": 1}}}, "compares 'pyton'"),
]


@pytest.mark.parametrize("change, said", [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_broken_file_is_complained_about(change: dict[str, Any], said: str) -> None:
    document = copy.deepcopy(DOCUMENT) | change
    _, problems = gates.parse({k: v for k, v in document.items() if v is not None}, TINY)
    assert any(re.search(said, problem) for problem in problems), problems


def test_every_benchmark_has_a_gate_for_each_comparison() -> None:
    found = gates.load(BENCHMARKS, gates.FILE)
    assert list(found) == list(BENCHMARKS)
    for name, benchmark in BENCHMARKS.items():
        compared = {gate.comparison for gate in found[name]}
        assert compared == set(benchmark.comparisons), name
        labels = {lane.label for lane in benchmark.lanes}
        assert all({c.reference, c.ours} <= labels for c in compared), name


def test_the_message_names_the_file_and_every_problem(tmp_path: Path) -> None:
    file = tmp_path / "gates.toml"
    file.write_text("[tinny]\n[tiny]\ncompiled = { floor = 1.5, aim = 2.0 }\n", "utf-8")
    with pytest.raises(GateError) as caught:
        gates.load(TINY, file)
    message = str(caught.value)
    assert message.startswith(f"{file}:")
    assert "[tinny]" in message and "'python' has no gate" in message and "[weight]" in message


@pytest.mark.parametrize("content", [None, "[tiny\n"], ids=["no file", "not TOML"])
def test_a_file_that_cannot_be_read(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "gates.toml"
    if content is not None:
        file.write_text(content, "utf-8")
    with pytest.raises(GateError, match="cannot be read"):
        gates.load(TINY, file)


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gates.FILE_VARIABLE, str(tmp_path / "elsewhere.toml"))
    with pytest.raises(GateError, match=r"elsewhere\.toml"):
        gates.load(TINY)
