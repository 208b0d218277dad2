"""The comparison of two runs finds what it must find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compliance.compare import Allowed, Outcome, compare, read_allowed
from tests.compliance.run import HERE

PASSED, SKIPPED = Outcome("passed"), Outcome("skipped")
FAILED, ERROR = Outcome("failed", "traceback"), Outcome("error", "in set-up")


@pytest.mark.parametrize(
    ("builtin", "ours"),
    [
        ({"t": PASSED}, {"t": FAILED}),
        ({"t": PASSED}, {"t": ERROR}),
        ({"t": SKIPPED}, {"t": FAILED}),
        ({"t": PASSED}, {"t": SKIPPED}),
        ({"t": PASSED}, {}),
        ({"t": SKIPPED}, {}),
        ({}, {"t": FAILED}),
    ],
)
def test_worse_is_worse(builtin: dict[str, Outcome], ours: dict[str, Outcome]) -> None:
    found = compare(builtin, ours)
    assert len(found.worse) == 1
    assert not found.acceptable
    assert ours.get("t", Outcome("missing")).text in str(found)


def test_equal_and_better_are_acceptable() -> None:
    builtin = {"a": FAILED, "b": FAILED, "c": PASSED, "d": SKIPPED, "e": PASSED}
    ours = {"a": ERROR, "b": PASSED, "c": Outcome("xfailed"), "d": PASSED, "e": PASSED}
    found = compare(builtin, ours)
    assert found.acceptable
    assert [line.split(":")[0] for line in found.better] == ["b", "d"]


def test_an_allowed_difference_must_occur() -> None:
    allowed = [Allowed("x::*[a-b]", "failed", "ours is right")]
    builtin = {"x::t[a-b]": PASSED}
    assert compare(builtin, {"x::t[a-b]": FAILED}, allowed).acceptable
    assert compare(builtin, {"x::t[a-b]": ERROR}, allowed).worse
    assert compare(builtin, {"x::t[a-b]": PASSED}, allowed).stale == ["x::*[a-b]: failed"]


def test_an_entry_without_a_reason_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "expected.toml"
    file.write_text('[[difference]]\ntest = "x"\noutcome = "failed"\n')
    with pytest.raises(ValueError, match=r"expected\.toml: .* must have exactly test, outcome"):
        read_allowed(file)
    assert isinstance(read_allowed(HERE / "expected.toml"), list)


def test_a_level_has_its_own_differences(tmp_path: Path) -> None:
    file = tmp_path / "expected.toml"
    entry = '[[difference]]\ntest = "{}"\noutcome = "failed"\nreason = "right"\n'
    file.write_text(entry.format("a") + entry.format("b") + 'level = "private"\n')
    assert [found.test for found in read_allowed(file)] == ["a", "b"]
    assert [found.test for found in read_allowed(file, "public")] == ["a"]
