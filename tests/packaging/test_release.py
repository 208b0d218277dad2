"""A tag is released when the version fits and the README's links lead somewhere, not before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pgflight
from tests.packaging import checkout
from tools import release, wheels

TAG = f"v{pgflight.__version__}"
REPOSITORY = "https://forge.example/somebody/pgflight"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what a release is built from."""
    return checkout.copy(tmp_path / "tree")


def git(tree: Path, *arguments: str) -> None:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    subprocess.run(["git", "-C", str(tree), *who, *arguments], check=True, capture_output=True)


def test_a_tree_without_its_address_is_refused(tree: Path) -> None:
    checkout.set_repository(tree, "")
    with pytest.raises(SystemExit, match=rf"^REPOSITORY in setup.py is empty.* before {TAG} is"):
        release.check(tree, TAG)


def dated(tree: Path) -> None:
    """Write a date into the changes of `tree`, as a release does."""
    changes = tree / "CHANGELOG.md"
    changes.write_text(changes.read_text().replace("(not released)", "(2026-12-01)"))


def test_a_tree_with_its_address_and_date_is_accepted(tree: Path) -> None:
    checkout.set_repository(tree, REPOSITORY)
    dated(tree)
    release.check(tree, TAG)


def test_changes_without_a_date_are_refused(tree: Path) -> None:
    checkout.set_repository(tree, REPOSITORY)
    with pytest.raises(SystemExit, match=rf"^CHANGELOG.md says \(not released\): .* of {TAG} in"):
        release.check(tree, TAG)


def test_changes_that_are_still_fragments_are_refused(tree: Path) -> None:
    checkout.set_repository(tree, REPOSITORY)
    dated(tree)
    (tree / "changes").mkdir()
    (tree / "changes" / "README.md").write_text("what the files are")
    release.check(tree, TAG)
    (tree / "changes" / "+pool.fixed.md").write_text("A pool.")
    (tree / "changes" / "12.new").write_text("Another.")
    said = r"^changes/ has \+pool.fixed.md, 12.new: run towncrier build"
    with pytest.raises(SystemExit, match=said):
        release.check(tree, TAG)


def test_a_tag_of_another_version_is_refused(tree: Path) -> None:
    checkout.set_repository(tree, REPOSITORY)
    with pytest.raises(SystemExit, match=rf"^the tag v9.9 is not {TAG}, the version in src/"):
        release.check(tree, "v9.9")


def test_tags_of_the_commit_are_found_and_others_are_not(tree: Path) -> None:
    assert wheels.release_tags(tree) == []
    git(tree, "init")
    git(tree, "commit", "--allow-empty", "-m", "first")
    git(tree, "tag", "v0.0.1")
    git(tree, "commit", "--allow-empty", "-m", "second")
    assert wheels.release_tags(tree) == []
    git(tree, "tag", TAG)
    git(tree, "tag", "another")
    assert wheels.release_tags(tree) == [TAG]


def test_the_workflow_asks_before_it_builds() -> None:
    text = (checkout.ROOT / ".github" / "workflows" / "wheels.yml").read_text()
    sdist, _, rest = text.partition("\n  pure:\n")
    condition = "if: startsWith(github.ref, 'refs/tags/v')\n"
    command = 'run: python tools/release.py "$GITHUB_REF_NAME"\n'
    assert condition + " " * 8 + command in sdist.partition("python -m build")[0]
    assert "needs: [sdist, pure, compiled]" in rest


@pytest.mark.parametrize("arguments", [(), ("v1", "v2")])
def test_the_command_takes_one_tag(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, str(checkout.ROOT / "tools" / "release.py"), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (1, "usage: python tools/release.py TAG\n")
