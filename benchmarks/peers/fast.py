"""FastAPI with PyMongo's asynchronous client: three plain writes per DM, the DMs of one POST at the
same time. A crash between the writes of a DM loses its counts: the receipt is there already."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

secret = os.environ["META_APP_SECRET"].encode()


@asynccontextmanager
async def connected(app: FastAPI) -> AsyncIterator[None]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(os.environ["MONGODB_URI"])
    app.state.db = client[os.environ["MONGODB_DB"]]
    yield
    await client.close()


app = FastAPI(lifespan=connected)


@app.post("/api/webhooks/instagram")
async def webhook(request: Request) -> Response:
    body = await request.body()
    expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("X-Hub-Signature-256", "")):
        raise HTTPException(401)
    db = request.app.state.db
    items = [
        (entry["id"], item) for entry in json.loads(body)["entry"] for item in entry["messaging"]
    ]
    await asyncio.gather(*(count(db, account, item) for account, item in items))
    return Response()


async def count(db: AsyncDatabase[dict[str, Any]], account: str, item: dict[str, Any]) -> None:
    try:
        await db["receipts"].insert_one({"_id": item["message"]["mid"]})
    except DuplicateKeyError:
        return
    when = datetime.fromtimestamp(item["timestamp"] / 1000, UTC)
    if item["message"].get("is_echo"):
        ours = {"$inc": {"dmUsed": 1, "monthlyDmUsed": 1}, "$max": {"lastDMSent": when}}
        total = "dmsSent"
    else:
        ours = {"$inc": {"dmReceived": 1}, "$max": {"lastDMReceived": when}}
        total = "dmsReceived"
    await db["instagram_accounts"].update_one({"instagramId": account}, ours, upsert=True)
    await db["stats_cache"].update_one({"_id": "global"}, {"$inc": {total: 1}}, upsert=True)
