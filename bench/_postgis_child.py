"""The baseline of bench/serving.py: each post inserts its rows into PostGIS and commits, behind the same uvicorn and
the same event loop.

`python -m bench._postgis_child SOCKET_FOLDER` prints its port, then serves.
"""

import hashlib
import json
import socket
import sys
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, Request

from truceline.serve.guard import UVICORN

#: As many as PostgreSQL is often given on a small machine.
CONNECTIONS = 16
TABLE = """
    CREATE EXTENSION IF NOT EXISTS postgis;
    CREATE TABLE IF NOT EXISTS observation (id bytea PRIMARY KEY, source text, kind text, what text, at timestamptz,
        place geometry(Point, 4326), identity text, sensor text, raw text);
    CREATE INDEX IF NOT EXISTS observation_place ON observation USING gist (place);
    CREATE INDEX IF NOT EXISTS observation_at ON observation (at);
"""
ONE = """INSERT INTO observation VALUES ($1, $2, $3, $4, $5, ST_SetSRID(ST_MakePoint($6, $7), 4326), $8, $9, $10)
    ON CONFLICT DO NOTHING"""
MANY = """INSERT INTO observation SELECT id, source, kind, what, at, ST_SetSRID(ST_MakePoint(lon, lat), 4326), identity,
    sensor, raw FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::float8[],
    $7::float8[], $8::text[], $9::text[], $10::text[])
    AS given (id, source, kind, what, at, lon, lat, identity, sensor, raw) ON CONFLICT DO NOTHING"""


def row(source: str, line: bytes) -> tuple[Any, ...]:
    told = json.loads(line)
    key = hashlib.sha256(source.encode() + line).digest()[:16]
    at = datetime.fromisoformat(told["at"])
    named = (told.get("identity"), told.get("sensor"), line.decode())
    return (key, source, told["kind"], told["what"], at, told["lon"], told["lat"], *named)


def application(folder: str) -> FastAPI:
    pool: Any = None

    @asynccontextmanager
    async def running(_: FastAPI) -> Any:
        nonlocal pool
        pool = await asyncpg.create_pool(
            host=folder, user="postgres", database="postgres", min_size=CONNECTIONS, max_size=CONNECTIONS
        )
        await pool.execute(TABLE)
        yield
        await pool.close()

    app = FastAPI(lifespan=running)

    @app.post("/api/sources/{id}/records")
    async def post(id: str, request: Request) -> dict[str, int]:
        rows = [row(id, line) for line in (await request.body()).splitlines()]
        if len(rows) == 1:
            await pool.execute(ONE, *rows[0])
        else:
            await pool.execute(MANY, *(list(column) for column in zip(*rows, strict=True)))
        return {"accepted": len(rows)}

    return app


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(application(sys.argv[1]), log_level="warning", **UVICORN)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
