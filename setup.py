"""List the extensions and packages of pgflight, and make its description for an index.

Everything else is in pyproject.toml.

Two environment switches, each empty, 0 or 1:

PGFLIGHT_NO_EXTENSIONS=1       build pure Python on purpose
PGFLIGHT_REQUIRE_EXTENSIONS=1  fail when an extension cannot be built

With neither, a machine without a C compiler installs the Python form.
"""

from __future__ import annotations

import gzip
import os
import platform
import re
import sys
import tarfile
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.sdist import sdist

# Where the repository can be read, such as https://github.com/owner/name: a release fills it in.
# tools/release.py refuses a release without it.
REPOSITORY = ""

# Sources in src/_speedups; a test checks this list against that directory.
SPEEDUPS = (
    "jsondecode",
    "jsonencode",
    "numeric",
    "params",
    "processors",
    "receiving",
    "results",
    "rows",
    "stacks",
    "stmtcache",
    "tags",
    "temporal",
    "uuids",
)


def source(name: str) -> str:
    """Return the file that is compiled: a Cython source of its own where the piece has one."""
    own = f"src/_speedups/{name}_c.pyx"
    return own if os.path.exists(own) else f"src/_speedups/{name}.py"


def switch(name: str) -> bool:
    """Read the environment switch `name`; exit when its value is not empty, 0 or 1."""
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise SystemExit(f"{name}={value!r} is not understood: set it to 1 or 0, or leave it unset")
    return value == "1"


# A block of code, which stays as it is, or the target of a link or picture that is no URL, no
# anchor and no absolute path.
_RELATIVE = re.compile(
    r"^```.*?^```$|(?<=\]\()(?P<target>(?![a-zA-Z][\w+.-]*:|[#/])[^)\s]+)(?=\))",
    re.DOTALL | re.MULTILINE,
)
_PICTURES = (".gif", ".jpg", ".png", ".svg")


def long_description(repository: str) -> str:
    """Return README.md with its relative links and pictures led to `repository`.

    They go to the tag of this version. An index shows the text outside the tree, where a relative
    target leads nowhere. Without a repository the text is returned unchanged.
    """
    text = Path("README.md").read_text("utf-8")
    if not repository:
        return text
    if not re.fullmatch(r"https://[^/\s]+(/[^/\s]+)+", repository):
        raise SystemExit(
            f"REPOSITORY = {repository!r} in setup.py is not understood: write it as "
            "https://host/owner/name, without a slash at the end"
        )
    source = Path("src/pgflight/__init__.py").read_text("utf-8")
    tag = "v" + re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE)[0]

    def absolute(found: re.Match[str]) -> str:
        target = found["target"]
        if target is None:
            return found[0]
        kind = "raw" if target.endswith(_PICTURES) else "blob"
        return f"{repository}/{kind}/{tag}/{target}"

    return _RELATIVE.sub(absolute, text)


def own_build_ext(build_ext: type) -> type:
    """Return `build_ext` with two answers to a failure: a clear sentence, or going without."""

    class BuildExt(build_ext):
        def build_extension(self, ext: Extension) -> None:
            try:
                super().build_extension(ext)
            except Exception as error:
                if ext.optional:
                    raise  # setuptools prints it as a warning
                raise SystemExit(
                    f"PGFLIGHT_REQUIRE_EXTENSIONS=1, but {ext.name} cannot be compiled ({error}): "
                    "install a C compiler and Python's headers, or unset the switch"
                ) from error

        def build_extensions(self) -> None:
            super().build_extensions()
            # A strict editable install links whatever is listed and fails where it is missing.
            self.extensions = [
                ext for ext in self.extensions if os.path.exists(self.get_ext_fullpath(ext.name))
            ]

    return BuildExt


def reproducible_sdist(sdist: type) -> type:
    """Return `sdist` with an archive that has the same bytes wherever and whenever it is made.

    Where SOURCE_DATE_EPOCH is set, as https://reproducible-builds.org/specs/source-date-epoch/ has
    it; setuptools minds it for wheels only.
    """

    class Sdist(sdist):
        def make_archive(
            self, base_name: str, format: str, root_dir: str | None = None,
            base_dir: str | None = None, owner: str | None = None, group: str | None = None,
        ) -> str:  # fmt: skip
            epoch = os.environ.get("SOURCE_DATE_EPOCH")
            if format != "gztar" or not epoch or base_dir is None:
                return super().make_archive(base_name, format, root_dir, base_dir, owner, group)

            def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
                member.mtime, member.mode = int(epoch), 0o755 if member.isdir() else 0o644
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                return member

            file = f"{base_name}.tar.gz"
            os.makedirs(os.path.dirname(file) or ".", exist_ok=True)
            with (
                open(file, "wb") as raw,
                gzip.GzipFile("", "wb", 9, raw, mtime=int(epoch)) as packed,
                tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
            ):
                archive.add(os.path.join(root_dir or ".", base_dir), base_dir, filter=plain)
            return file

    return Sdist


def compile_arguments() -> list[str]:
    """Return what keeps the directory of a build out of the extensions."""
    if sys.platform not in ("linux", "darwin"):
        return []
    return [f"-fdebug-prefix-map={os.getcwd()}=."]


def extension_arguments() -> dict[str, object]:
    """Return the arguments of setup() that concern the extensions, as the switches ask."""
    forbidden = switch("PGFLIGHT_NO_EXTENSIONS")
    required = switch("PGFLIGHT_REQUIRE_EXTENSIONS")
    if forbidden and required:
        raise SystemExit(
            "PGFLIGHT_NO_EXTENSIONS=1 and PGFLIGHT_REQUIRE_EXTENSIONS=1 exclude each other: "
            "unset one"
        )
    if forbidden:
        return {}
    obstacle = None
    if platform.python_implementation() != "CPython":
        obstacle = f"this is {platform.python_implementation()}, not CPython"
    else:
        try:
            # cythonize() would drop `optional`; this Extension keeps it.
            from Cython.Distutils.extension import Extension as CythonExtension

            # Cython's own build_ext underneath; its subclass here knows strict editable installs.
            from setuptools.command.build_ext import build_ext
        except ImportError as error:
            obstacle = f"Cython cannot be imported ({error}): install cython>=3.1"
    if obstacle is not None:
        if required:
            raise SystemExit(f"PGFLIGHT_REQUIRE_EXTENSIONS=1, but {obstacle}; or unset the switch")
        return {}
    return {
        "ext_modules": [
            CythonExtension(
                f"pgflight._speedups.{name}_c",
                [source(name)],
                cython_directives={"language_level": "3"},
                cython_c_in_temp=True,
                extra_compile_args=compile_arguments(),
                # pthread_atfork() is not in the C library itself before glibc 2.34
                extra_link_args=["-pthread"] if sys.platform == "linux" else [],
                optional=not required,
            )
            for name in SPEEDUPS
        ],
        "cmdclass": {"build_ext": own_build_ext(build_ext)},
    }


extensions = extension_arguments()
extensions["cmdclass"] = {"sdist": reproducible_sdist(sdist), **extensions.get("cmdclass", {})}
setup(
    long_description=long_description(REPOSITORY),
    long_description_content_type="text/markdown",
    # src/pgflight/_speedups may be there, too: a developer's link to what is mapped below.
    packages=[*find_packages("src", exclude=["_speedups", "*._speedups"]), "pgflight._speedups"],
    package_dir={"": "src", "pgflight._speedups": "src/_speedups"},
    **extensions,
)
