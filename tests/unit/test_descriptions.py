"""What an engine remembers of statements for its next connections: bounded, and given up."""

from __future__ import annotations

from pgflight.driver.poolers.known import MOST_DESCRIPTIONS, MOST_REFUSALS, Descriptions


def test_the_oldest_goes() -> None:
    known = Descriptions()
    for number in range(MOST_DESCRIPTIONS + 5):
        known.put(f"SELECT {number}", number)
    assert [known.get(f"SELECT {number}") for number in range(5)] == [None] * 5
    assert known.get("SELECT 5") == 5
    assert known.get(f"SELECT {MOST_DESCRIPTIONS + 4}") == MOST_DESCRIPTIONS + 4


def test_a_text_that_is_described_otherwise_again_and_again_is_given_up() -> None:
    known = Descriptions()
    for _ in range(MOST_REFUSALS):
        assert known.are_wanted("SELECT 1")
        known.put("SELECT 1", 1)
        assert not known.are_wanted("SELECT 1")
        known.forget("SELECT 1", refused=True)
        assert known.get("SELECT 1") is None
    assert not known.are_wanted("SELECT 1")
    assert known.are_wanted("SELECT 2")


def test_what_is_out_of_date_is_wanted_again() -> None:
    known = Descriptions()
    for _ in range(MOST_REFUSALS + 1):
        known.put("SELECT 1", 1)
        known.forget("SELECT 1", refused=False)
    assert known.are_wanted("SELECT 1")


def test_refusals_are_bounded() -> None:
    known = Descriptions()
    for number in range(10 * MOST_DESCRIPTIONS):
        known.put(f"SELECT {number}", number)
        known.forget(f"SELECT {number}", refused=True)
    assert len(known._refused) <= MOST_DESCRIPTIONS
