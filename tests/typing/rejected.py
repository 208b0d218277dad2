"""Wrong uses of the public API: type checkers must reject each line marked so, and no other.

Never imported.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy.engine import make_url

import fastpg
from fastpg.dialect import PGDialect_asyncpg

fastpg.install("postgresql")  # rejected
fastpg.instal()  # rejected
number: int = fastpg.__version__  # rejected
form: Literal["compiled"] = fastpg.implementation().name  # rejected
fastpg.implementation().reason = "another"  # rejected
one, two, three = fastpg.implementation()  # rejected
print(PGDialect_asyncpg.no_such_attribute)  # rejected
positional, keywords, more = PGDialect_asyncpg().create_connect_args(make_url("x"))  # rejected
