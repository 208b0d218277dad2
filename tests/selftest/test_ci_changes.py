"""What `.ci/run` takes for the base of a change, and what it then leaves out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.ci import __main__ as ci
from tools.ci.changes import VARIABLE, Repository, UnknownBase
from tools.ci.steps import STEPS

BUILT = [step.name for step in STEPS if step.built]


class Git:
    """A repository with one commit for each call of `commit`."""

    def __init__(self, root: Path, passed: Path) -> None:
        self.root = root
        self.repository = Repository(root, passed)

    def __call__(self, *arguments: str) -> str:
        own = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *own, *arguments], cwd=self.root, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, file: str) -> str:
        """Change `file`, commit, and return the commit."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path.read_text() if path.exists() else ''}.")
        self("add", "-A")
        self("commit", "-q", "-m", file)
        return self("rev-parse", "HEAD")


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "tree").mkdir()
    made = Git(tmp_path / "tree", tmp_path / "cache" / "passed")
    made("init", "-q", "-b", "main")
    made.commit("src/pgflight/a.py")
    return made


def steps_of(git: Git) -> list[str]:
    return [step.name for step in ci.choose([], git.repository)[1]]


def test_without_a_base_everything_built_is_tested(git: Git) -> None:
    assert git.repository.base() is None
    assert git.repository.build_changed() is None
    assert set(BUILT) <= set(steps_of(git))


def test_a_base_that_is_given(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    first = git.commit("setup.py")
    git.commit("src/pgflight/b.py")
    monkeypatch.setenv(VARIABLE, first)
    assert git.repository.build_changed() == []
    _, steps, unneeded = ci.choose([], git.repository)
    assert not {step.name for step in steps} & set(BUILT)
    assert [name for name, _ in unneeded] == BUILT
    monkeypatch.setenv(VARIABLE, f"{first}~1")
    assert git.repository.build_changed() == ["setup.py"]
    assert set(BUILT) <= set(steps_of(git))


def test_a_base_that_is_not_there_is_an_error(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "no-such-commit")
    with pytest.raises(UnknownBase, match="'no-such-commit' is no commit"):
        git.repository.base()


@pytest.mark.parametrize(
    "file", ["src/_speedups/rows_c.pyx", "setup.py", "pyproject.toml", "tools/wheels.py", ".ci/run"]
)
def test_what_passed_here_is_the_base(git: Git, file: str) -> None:
    git.repository.remember()
    git.commit("tests/unit/test_a.py")
    assert git.repository.build_changed() == []
    (git.root / file).parent.mkdir(parents=True, exist_ok=True)
    (git.root / file).write_text("not even committed")
    assert git.repository.build_changed() == [file]
    git.repository.remember()  # not what was tested
    git.commit(file)
    assert git.repository.build_changed() == [file]


def test_what_passed_on_another_branch_is_none(git: Git) -> None:
    git("checkout", "-q", "-b", "other")
    git.commit("setup.py")
    git.repository.remember()
    git("checkout", "-q", "main")
    assert git.repository.base() is None


def test_where_the_branch_left_what_was_cloned(git: Git, tmp_path: Path) -> None:
    git.commit("b")
    git("clone", "-q", ".", str(tmp_path / "clone"))
    clone = Git(tmp_path / "clone", tmp_path / "cache" / "passed")
    assert clone.repository.base() is None  # nothing of its own: what landed last is unknown
    left = clone("rev-parse", "HEAD")
    clone.commit("src/pgflight/c.py")
    assert clone.repository.base() == left
    assert clone.repository.build_changed() == []


def test_a_tree_without_git(tmp_path: Path) -> None:
    assert Repository(tmp_path, tmp_path / "passed").changed() is None


def test_a_step_comes_with_what_it_needs() -> None:
    full, steps, _ = ci.choose(["compliance_20"], Repository(Path()))
    assert not full
    assert [step.name for step in steps] == ["machine", "sdist", "env-2.0", "compliance_20"]
    assert all(ci.task(step, full).work for step in steps)


def test_steps_as_a_full_run_does_them() -> None:
    full, steps, _ = ci.choose(ci.parse(["full", "embedded"]).what, Repository(Path()))
    assert full
    assert [step.name for step in steps] == ["machine", "sdist", "env-2.1", "embedded"]
    assert all(step.work(True) for step in steps)


@pytest.mark.parametrize(
    "asked", [["no_such_step"], ["static", "full"], ["full", "default"], ["--lanes", "0"]]
)
def test_what_is_not_understood_ends_at_once(asked: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        ci.parse(asked)
    assert ended.value.code == 2
