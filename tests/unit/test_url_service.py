"""Connection service files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from pgflight.options.url import connect_arguments, prepare_connect_kwargs

CONTENT = """
# the reporting replica
[other]
host=other.example

[ reports ]
host=not.this.one

[reports]
  host=a.example,b.example
port=5433
dbname = sales
user=reader
connect_timeout=5
application_name=reports
options=-c jit=off
sslmode=prefer
loadBalanceHosts=true
# a comment

[after]
host=after.example
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PGSERVICEFILE", "PGSYSCONFDIR", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = tmp_path / "services.conf"
    path.write_text(CONTENT)
    return path


def arguments(file: Path | None, service: str = "reports", **query: str) -> dict[str, Any]:
    query["service"] = service
    if file is not None:
        query["servicefile"] = str(file)
    return connect_arguments(URL.create("postgresql+asyncpg", query=query))


def test_options_come_from_the_file_and_in_their_types(file: Path) -> None:
    assert arguments(file) == {
        "host": ["a.example", "b.example"],
        "port": [5433, 5433],
        "database": "sales",
        "user": "reader",
        "timeout": 5.0,
        "application_name": "reports",
        "options": "-c jit=off",
        "sslmode": "prefer",
        "load_balance_hosts": "random",
    }


def test_the_url_wins_and_connect_args_win_over_both(file: Path) -> None:
    url = URL.create(
        "postgresql+asyncpg",
        "writer",
        host="c.example",
        database="test",
        query={"service": "other", "servicefile": str(file), "timeout": "1"},
    )
    found = connect_arguments(url)
    assert found == {"host": "c.example", "user": "writer", "database": "test", "timeout": 1.0}
    kwargs = prepare_connect_kwargs(
        {"service": "reports", "servicefile": file, "user": "me", "host": "x", "port": 1}
    ).kwargs
    assert kwargs == {
        "host": "x",
        "port": 1,
        "user": "me",
        "database": "sales",
        "timeout": 5.0,
        "ssl": "prefer",
        "server_settings": {"application_name": "reports", "jit": "off"},
    }


def test_asyncpg_never_sees_the_service(file: Path) -> None:
    kwargs = prepare_connect_kwargs(arguments(file, "after")).kwargs
    assert kwargs == {"host": "after.example"}


def test_where_the_file_is_looked_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(str(file.parent / "home"))
    system = file.parent / "system"
    message = r"'after' is not defined.*servicefile or PGSERVICEFILE"
    with pytest.raises(ArgumentError, match=message):
        arguments(None, "after")
    system.mkdir()
    monkeypatch.setenv("PGSYSCONFDIR", str(system))
    (system / "pg_service.conf").write_text("[after]\nhost=from.system\n")
    assert arguments(None, "after") == {"host": "from.system"}
    home.mkdir()
    (home / ".pg_service.conf").write_text("[after]\nhost=from.home\n")
    assert arguments(None, "after") == {"host": "from.home"}
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    assert arguments(None, "after") == {"host": "after.example"}
    assert arguments(system / "pg_service.conf", "after") == {"host": "from.system"}


def test_a_missing_service_is_an_error_not_a_default(file: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        arguments(file, "nosuch")
    assert "'nosuch'" in str(caught.value) and str(file) in str(caught.value)
    with pytest.raises(ArgumentError, match="is not defined"):
        arguments(file.with_name("missing.conf"))
    with pytest.raises(ArgumentError, match="cannot be read"):
        arguments(file.parent)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("host", "'host' in line 2 of service file .* write key=value"),
        ("sslmod=require", "Unknown option 'sslmod' in line 2 .*'sslmode'"),
        ("user=u\nservice=other", "'service' in line 3 .* does not belong"),
        ("record_class=x", "'record_class' in line 2 .* does not belong"),
        ("timeout=soon", "timeout='soon' in service 'reports' of .* is not valid"),
        ("channel_binding=require", "channel_binding='require' in service .* is not supported"),
        ("host=a,b\nport=1,", "All ports are required"),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, lines: str, message: str) -> None:
    path = tmp_path / "services.conf"
    path.write_text(f"[reports]\n{lines}\n")
    with pytest.raises(ArgumentError, match=message):
        arguments(path)
