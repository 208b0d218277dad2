"""The same sources give the same bytes, whatever the directory, clock and modes of files."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from tests.packaging import checkout

pytestmark = pytest.mark.slow

EPOCH = {"SOURCE_DATE_EPOCH": "1764417600"}


def other(tree: Path) -> None:
    """Give the files of `tree` other times and modes, as another clone has them."""
    for path in tree.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
        if path.is_file():
            path.chmod(0o600)


def test_two_builds_are_the_same(tmp_path: Path) -> None:
    sdists, wheels = [], []
    for number, name in enumerate(("one", "a/deeper/directory")):
        directory = tmp_path / name
        directory.mkdir(parents=True)
        tree = checkout.copy(directory / "tree")
        if number:
            other(tree)
        sdist = checkout.build(tree, "sdist", EPOCH)
        sdists.append(sdist.read_bytes())
        with tarfile.open(sdist) as archive:
            archive.extractall(directory, filter="data")
        (unpacked,) = directory.glob("pgflight-*")
        required = {"PGFLIGHT_REQUIRE_EXTENSIONS": "1", **EPOCH}
        wheels.append(checkout.build(unpacked, "wheel", required).read_bytes())
    assert sdists[0] == sdists[1]
    assert wheels[0] == wheels[1]


def test_an_sdist_without_a_date_is_as_ever(tmp_path: Path) -> None:
    """Where nothing says when it was made, members have the times of their files."""
    tree = checkout.copy(tmp_path / "tree")
    other(tree)
    with tarfile.open(checkout.build(tree, "sdist", {"SOURCE_DATE_EPOCH": ""})) as archive:
        member = next(each for each in archive.getmembers() if each.name.endswith("/LICENSE"))
    assert member.mtime == 1_700_000_000
