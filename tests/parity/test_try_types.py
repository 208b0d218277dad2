import asyncio
import pytest, sqlalchemy as sa
from sqlalchemy.pool import NullPool
from tests.fixtures.engines import Dialect
from tests.fixtures.waits import Waits
import pgflight
SETUP = ["DROP TYPE IF EXISTS ty_mood CASCADE","DROP TYPE IF EXISTS ty_pair CASCADE","DROP DOMAIN IF EXISTS ty_dom2","DROP DOMAIN IF EXISTS ty_dom","DROP TYPE IF EXISTS ty_range CASCADE",
"CREATE TYPE ty_mood AS ENUM ('sad','ok')","CREATE TYPE ty_pair AS (x int, m ty_mood, l ty_mood[])","CREATE DOMAIN ty_dom AS int CHECK (value>0)","CREATE DOMAIN ty_dom2 AS ty_dom","CREATE TYPE ty_range AS RANGE (subtype = float8)"]
STMTS=["SELECT '{1}'::int[]","SELECT '[1,2]'::int4range","SELECT 'ok'::ty_mood","SELECT '{ok}'::ty_mood[]","SELECT '[1,2]'::ty_range", "SELECT '{[1,2]}'::ty_multirange" if 0 else "SELECT int4multirange(int4range(1,2))","SELECT row(1,'ok','{sad}')::ty_pair","SELECT array[row(1,'ok','{sad}')::ty_pair]","SELECT 3::ty_dom","SELECT 3::ty_dom2", "SELECT :x ::ty_mood[]", "SELECT 1"]
def test_it(dialect: Dialect, waits: Waits):
    async def work():
        e = dialect.engine(via=waits.proxy, poolclass=NullPool)
        async with e.connect() as c:
            for s in SETUP: await c.execute(sa.text(s))
            await c.commit()
        for s in STMTS:
            got=[]
            for i in range(4):
                async with e.connect() as c:
                    async def one():
                        r = await c.execute(sa.text(s), {"x":["ok"]} if ":x " in s else {})
                        got.append(r.scalar())
                    n = await waits.of(one)
                    got.append(n)
                    if i==3: 
                        got.append(await waits.of(one))
            print(s, got)
        if dialect.ours: print(pgflight.stats(e))
    asyncio.run(work())
