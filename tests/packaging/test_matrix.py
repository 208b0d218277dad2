"""cibuildwheel is configured for exactly the wheels that the documentation promises."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest

from tests.packaging.checkout import ROOT

PYTHONS = ("cp310", "cp311", "cp312", "cp313", "cp314")
PROMISED = {
    "linux": [
        f"{libc}_{machine}"
        for libc, machine in product(("manylinux", "musllinux"), ("x86_64", "aarch64"))
    ],
    "macos": ["macosx_x86_64", "macosx_arm64"],
    "windows": ["win_amd64"],
}

# cibuildwheel that knows CPython 3.14 runs on 3.11 and later; it asks nothing of the interpreter
# it builds for, so one interpreter's answer is everybody's.
if sys.version_info >= (3, 11):

    @pytest.mark.parametrize("platform", PROMISED)
    def test_build_identifiers(platform: str) -> None:
        ran = subprocess.run(
            [
                *(sys.executable, "-m", "cibuildwheel"),
                *("--print-build-identifiers", "--platform", platform, str(ROOT)),
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stderr
        promised = {f"{python}-{tag}" for python, tag in product(PYTHONS, PROMISED[platform])}
        assert set(ran.stdout.split()) == promised
