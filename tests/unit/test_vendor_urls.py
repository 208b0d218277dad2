"""URLs as hosting companies hand them out, passwords and names replaced: taken as they are.

`create_async_engine(url, plugins=["pgflight"])` takes those that name no driver.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine

from pgflight.options.url import connect_arguments, prepare_connect_kwargs
from pgflight.plugin import PgflightPlugin
from tests.unit.tls_material import isolate

SECRET = "s3cr3t-Of_Nobody"

URLS = {
    "neon": f"postgresql://shop_owner:{SECRET}@ep-cool-name-a1b2c3-pooler.eu-central-1.aws.neon.tech"
    "/shop?sslmode=require",
    "supabase": f"postgresql://postgres.abcdefghij:{SECRET}@aws-0-eu-central-1.pooler.supabase.com"
    ":6543/postgres",
    "supabase direct": f"postgresql://postgres:{SECRET}@db.abcdefghij.supabase.co:5432/postgres",
    "render": f"postgresql://shop:{SECRET}@dpg-abc123-a.oregon-postgres.render.com/shop_db",
    "railway": f"postgresql://postgres:{SECRET}@containers-us-west-1.railway.app:6543/railway",
    "heroku": f"postgres://shop:{SECRET}@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d1a2b3",
    "aiven": f"postgres://avnadmin:{SECRET}@pg-1-shop.aivencloud.com:12691/defaultdb"
    "?sslmode=require",
    "azure": f"postgresql://ann%40shop:{SECRET}@shop.postgres.database.azure.com:5432/postgres"
    "?sslmode=require",
    "rds": f"postgresql://postgres:{SECRET}@shop.abc.eu-central-1.rds.amazonaws.com:5432/shop"
    "?sslmode=verify-full&sslrootcert=global-bundle.pem",
    "cloud sql": f"postgresql://shop:{SECRET}@/shop?host=/cloudsql/project:region:instance",
    "digitalocean": f"postgresql://doadmin:{SECRET}@db-1-do-user-1-0.b.db.ondigitalocean.com:25060"
    "/defaultdb?sslmode=require",
    "cockroachdb": f"postgresql://ann:{SECRET}@free-tier.gcp-us-central1.cockroachlabs.cloud:26257"
    "/defaultdb?sslmode=verify-full&options=--cluster%3Dshop-1234",
    "timescale": f"postgres://tsdbadmin:{SECRET}@abc.def.tsdb.cloud.timescale.com:33333/tsdb"
    "?sslmode=require",
    "node": f"postgresql://shop:{SECRET}@db.example.com/shop?uselibpqcompat=true&sslmode=require",
}
NEON = URLS["neon"] + "&channel_binding=require"
"""What Neon's console copies today."""


@pytest.fixture(scope="module")
def roots() -> bytes:
    """Certificates of an authority."""
    return trustme.CA().cert_pem.bytes()


@pytest.fixture(autouse=True)
def downloaded(roots: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of roots that some of them ask to be downloaded, where they say."""
    isolate(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("global-bundle.pem", ".postgresql/root.crt"):
        (tmp_path / name).write_bytes(roots)


def arguments_of(url: str) -> dict[str, Any]:
    return prepare_connect_kwargs(connect_arguments(make_url(url))).kwargs


@pytest.mark.parametrize("vendor", URLS)
def test_it_is_taken_as_it_is(vendor: str) -> None:
    given = make_url(URLS[vendor])
    found = arguments_of(URLS[vendor])
    assert found["user"] == given.username
    assert found["database"] == given.database
    host = given.host or given.query["host"]
    assert found["host"] == host
    assert found.get("port") == given.port
    encrypts = given.query.get("sslmode") is not None
    assert ("ssl" in found) is encrypts


@pytest.mark.parametrize("vendor", URLS)
def test_an_engine_is_made_of_it(vendor: str) -> None:
    """By the plugin; warnings, such as of a URL that no connection can be made with, are errors."""
    url = PgflightPlugin(make_url(URLS[vendor]), {}).update_url(make_url(URLS[vendor]))
    engine = create_async_engine(url.set(drivername="postgresql+pgflight"))
    assert engine.dialect.driver == "asyncpg"
    assert SECRET not in repr(engine)


def test_what_cockroachdb_routes_by_is_sent() -> None:
    settings = arguments_of(URLS["cockroachdb"])["server_settings"]
    assert settings == {"options": "--cluster=shop-1234"}


def test_channel_binding_is_refused_with_the_line_to_write() -> None:
    """asyncpg cannot do it, and to drop it would be less than was asked for."""
    with pytest.raises(ArgumentError) as caught:
        arguments_of(NEON)
    says = str(caught.value)
    for word in ("SCRAM-SHA-256-PLUS", "sslmode=verify-full", "sslrootcert=system", "Neon"):
        assert word in says
    assert SECRET not in says
    line = NEON.replace("channel_binding=require", "sslrootcert=system")
    found = arguments_of(line.replace("sslmode=require", "sslmode=verify-full"))
    assert found["ssl"].check_hostname is True
