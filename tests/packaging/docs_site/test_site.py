"""The site is built without a warning, and examples that need further packages run."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgflight.cli.server.cluster import TempCluster, embedded_binaries
from tests.fixtures.pages import DOCS, blocks_of
from tests.fixtures.server import Server
from tests.packaging.checkout import ROOT
from tests.parity.scratch import own

PYTHON = os.environ["PGFLIGHT_DOCS_PYTHON"]

USES_LITESTAR = """
from litestar.testing import TestClient

with TestClient(app) as client:
    assert client.post("/notes", params={"text": "one"}).json()["id"] > 0
    assert client.get("/notes").json() == ["one"]
    print(type(database.get_engine().sync_engine.dialect).__module__)
"""
# The page's functions on a real server, which takes any password that is right: the signer's is
# looked at, and the server asked with the one that it knows.
USES_TOKENS = """
import asyncio, os, types
from sqlalchemy.engine import make_url

address = make_url(os.environ["DATABASE_URL"])
user, host, port, database = address.username, address.host, address.port, address.database
tls = "sslmode=disable"
os.environ |= {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example"}


class Known:
    valid = False
    token = ""

    def refresh(self, request):
        self.valid, self.token = True, address.password or "unused"

    def get_token(self, scope):
        assert scope.endswith("/.default")
        return types.SimpleNamespace(token=address.password or "unused")


google_credentials = entra_credential = Known()
google_request = None
"""
ALEMBIC = """
import sqlalchemy as sa
from alembic import op

def upgrade():
    op.create_table("alembic_notes", sa.Column("id", sa.Integer, primary_key=True))
    print(type(op.get_bind().dialect).__module__)

def downgrade():
    op.drop_table("alembic_notes")
"""


def call(*arguments: str, address: str = "", directory: Path = ROOT) -> str:
    """Run the interpreter of the site and return what it printed."""
    own_variables = {"NO_MKDOCS_2_WARNING": "1", "DATABASE_URL": address}
    ran = subprocess.run(
        [PYTHON, *arguments],
        cwd=directory,
        env=os.environ | own_variables,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture
def address(server: Server) -> Iterator[str]:
    """The URL of an empty database."""
    name = own("site")
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    server.execute(drop, f"CREATE DATABASE {name}")
    yield server.text(database=name)
    server.execute(drop)


def run_page(page: str, address: str, tmp_path: Path, use: str = "") -> str:
    """Run a page's program, and what uses it; return what they printed."""
    (program,) = blocks_of(DOCS / page)
    file = tmp_path / "program.py"
    file.write_text(program + use, "utf-8")
    return call(str(file), address=address).strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors."""
    directory = tmp_path_factory.mktemp("site")
    call("-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(directory))
    return directory


def test_the_site_is_built_without_a_warning(site: Path) -> None:
    pages = {page.relative_to(site).as_posix() for page in site.rglob("*.html")}
    sources = {
        page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")
    }
    assert pages == sources | {"changelog.html", "contributing.html", "404.html"}
    assert "copy_in" in (site / "api.html").read_text("utf-8")
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        # nothing is fetched from elsewhere
        assert 'src="http' not in text and 'rel="stylesheet" href="http' not in text, page.name


def test_each_page_in_a_browser(site: Path) -> None:
    """Without an error of the console, a picture that is missing, or a page that is too wide."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium here; `.ci/run` installs it as root on Debian")
    program = str(Path(__file__).with_name("browser_program.py"))
    found = json.loads(call(program, str(site), chromium))
    assert found["pages"] == len(list(site.rglob("*.html"))) > 40
    assert found["wrong"] == []


@pytest.mark.parametrize(
    ("page", "use", "printed"),
    [
        ("start/sqlmodel.md", "", "Deadpond"),
        ("start/litestar.md", USES_LITESTAR, "pgflight.dialect"),
    ],
)
def test_a_framework(page: str, use: str, printed: str, address: str, tmp_path: Path) -> None:
    assert run_page(page, address, tmp_path, use) == printed


def test_vectors(tmp_path: Path) -> None:
    """On PyPI's embedded server, which has this one extension."""
    with TempCluster(embedded_binaries()) as cluster:
        found = run_page("examples/vectors.md", cluster.url(), tmp_path)
    assert found == "['passage 7', 'passage 8']"


def test_maps(server: Server, address: str, tmp_path: Path) -> None:
    async def available() -> bool:
        connection = await server.connect()
        try:
            query = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgis')"
            return bool(await connection.fetchval(query))
        finally:
            await connection.close()

    if not asyncio.run(available()):
        pytest.skip("this server has no PostGIS; `.ci/run` installs it as root on Debian")
    assert run_page("examples/maps.md", address, tmp_path) == "('7 3', 'POINT(7 3)')"


def test_tokens(address: str, tmp_path: Path) -> None:
    rds, cloud_sql, entra = blocks_of(DOCS / "cloud-tokens.md")
    query = (
        "async def connects():\n"
        "    async with engine.connect() as connection:\n"
        "        await connection.exec_driver_sql('SELECT 1')\n"
        "    await engine.dispose()\n\n\n"
        "asyncio.run(connects())\n"
    )
    signed = (
        "token = asyncio.run(rds_token())\n"
        "assert token.startswith(f'{host}:{port}/?Action=connect') and 'X-Amz-Signature' in token\n"
    )
    file = tmp_path / "tokens.py"
    parts = (USES_TOKENS, rds, signed, cloud_sql, query, entra, query, "print('done')\n")
    file.write_text("\n".join(parts), "utf-8")
    assert call(str(file), address=address).strip() == "done"


@pytest.mark.parametrize(
    ("template", "query"),
    [("async", "plugin=pgflight"), ("generic", "plugin=pgflight&async_fallback=true")],
)
def test_alembic(template: str, query: str, address: str, tmp_path: Path) -> None:
    alembic = ("-W", "ignore:.*async_fallback dialect argument", "-m", "alembic")
    call(*alembic, "init", "-t", template, "migrations", directory=tmp_path)
    settings = tmp_path / "alembic.ini"
    lines = [
        f"sqlalchemy.url = {address.replace('%', '%%')}?{query}"
        if line.startswith("sqlalchemy.url")
        else line
        for line in settings.read_text("utf-8").splitlines()
    ]
    settings.write_text("\n".join(lines), "utf-8")
    call(*alembic, "revision", "-m", "notes", directory=tmp_path)
    (revision,) = (tmp_path / "migrations" / "versions").glob("*.py")
    head = revision.read_text("utf-8").partition("def upgrade")[0]
    revision.write_text(head + ALEMBIC, "utf-8")
    assert "pgflight.dialect" in call(*alembic, "upgrade", "head", directory=tmp_path)
    call(*alembic, "downgrade", "base", directory=tmp_path)


def test_alembic_in_a_program(address: str, tmp_path: Path) -> None:
    (block,) = blocks_of(DOCS / "alembic.md")
    imports, _, work = block.partition("async with ")
    program = (
        "import asyncio, os\n"
        "from sqlalchemy.ext.asyncio import create_async_engine\n"
        f"{imports}\n"
        "async def main():\n"
        "    engine = create_async_engine(os.environ['DATABASE_URL'], plugins=['pgflight'])\n"
        + "".join(f"    {line}\n" for line in f"async with {work}".splitlines())
        + "    await engine.dispose()\n\n\nasyncio.run(main())\nprint('done')\n"
    )
    file = tmp_path / "program.py"
    file.write_text(program, "utf-8")
    assert call(str(file), address=address).strip() == "done"
