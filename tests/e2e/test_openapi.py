"""Whatever is asked of any route that the OpenAPI document names, the answer is one that it names, and no 5xx."""

import asyncio
import shutil
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.keys import Scope, Wish, digest, new_key
from app.stores.database import Database
from app.stores.keys import KeyStore
from common.market import Bar
from common.span import MINUTE_MS, floor_minute
from tests.fixtures.web import BTC, NOW_MS, SetClock, listening, store, web_deps

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 25
#: A probe's answer while no stream runs is 503, as it should be.
PROBE = "/ready"
SCHEMATHESIS = shutil.which("schemathesis", path=str(Path(sys.executable).parent))


@pytest.mark.timeout(400)
@pytest.mark.skipif(SCHEMATHESIS is None, reason="the package schemathesis is not installed")
async def test_no_question_makes_a_5xx_or_an_answer_that_is_not_documented(
    database: Database, redis_client: Redis, tmp_path: Path
) -> None:
    key = new_key()
    await KeyStore(database).add(Wish("fuzz", Scope.ADMIN, 1_000_000, 0), digest(key), NOW_MS)
    minute = floor_minute(NOW_MS) - 5 * MINUTE_MS
    await store(database, BTC, [Bar(minute + n * MINUTE_MS, 1, 2, 0.5, 1.5, 3) for n in range(5)])
    async with listening(web_deps(database, redis_client, SetClock())) as address:
        document = f"http://{address}/api/openapi.json"
        options = ["--checks", CHECKS, "--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"]
        options += ["--exclude-path", PROBE, "-H", f"Authorization: Bearer {key}"]
        process = await asyncio.create_subprocess_exec(
            str(SCHEMATHESIS),
            "run",
            document,
            *options,
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-8000:]
