"""``pgflight.dbapi`` under the public DB-API 2.0 compliance test, Stuart Bishop's ``dbapi20``."""

from __future__ import annotations

from typing import Any, ClassVar

import dbapi20
import pytest

import pgflight.dbapi
from tests.fixtures.server import Server


# test_rollback leaves its connection to the collector
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestCompliance(dbapi20.DatabaseAPI20Test):  # type: ignore[misc]
    """All of its tests: two it leaves to the driver, and of one it says that opinions differ."""

    driver: ClassVar[Any] = pgflight.dbapi
    lower_func = "lower"

    @pytest.fixture(autouse=True)
    def _address(self, server: Server) -> None:
        self.connect_args = (server.text("postgresql"),)

    def test_nextset(self) -> None:
        """Optional, and left out: a statement has one result."""
        assert not hasattr(pgflight.dbapi.Cursor, "nextset")

    def test_setoutputsize(self) -> None:
        """May be called, and changes nothing."""
        with self._connect() as connection:
            cursor = connection.cursor()
            cursor.setoutputsize(3)
            cursor.setoutputsize(3, 0)
            cursor.execute("SELECT 'longer'")
            assert cursor.fetchone() == ("longer",)

    def test_non_idempotent_close(self) -> None:
        """A second close() does nothing, as psycopg's and sqlite3's; PEP 249 leaves it open."""
        connection = self._connect()
        connection.close()
        connection.close()
        with pytest.raises(pgflight.dbapi.InterfaceError):
            connection.cursor()
