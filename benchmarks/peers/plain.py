"""Flask and gevent with three plain writes per DM: a receipt that drops repetitions, the account,
the totals. Fast to write and easy to read; a crash between the writes loses or doubles counts."""

from __future__ import annotations

import hashlib
import hmac
import os
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, abort, request
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError

app = Flask(__name__)
secret = os.environ["META_APP_SECRET"].encode()
client: MongoClient[dict[str, Any]] = MongoClient(os.environ["MONGODB_URI"], connect=False)
db = client[os.environ["MONGODB_DB"]]


@app.post("/api/webhooks/instagram")
def webhook() -> Response:
    body = request.get_data()
    expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("X-Hub-Signature-256", "")):
        abort(401)
    for entry in request.get_json()["entry"]:
        for item in entry["messaging"]:
            count(entry["id"], item)
    return Response(status=200)


def count(account: str, item: dict[str, Any]) -> None:
    try:
        db["receipts"].insert_one({"_id": item["message"]["mid"]})
    except DuplicateKeyError:
        return
    when = datetime.fromtimestamp(item["timestamp"] / 1000, UTC)
    if item["message"].get("is_echo"):
        ours = {"$inc": {"dmUsed": 1, "monthlyDmUsed": 1}, "$max": {"lastDMSent": when}}
        total = "dmsSent"
    else:
        ours = {"$inc": {"dmReceived": 1}, "$max": {"lastDMReceived": when}}
        total = "dmsReceived"
    db["instagram_accounts"].update_one({"instagramId": account}, ours, upsert=True)
    db["stats_cache"].update_one({"_id": "global"}, {"$inc": {total: 1}}, upsert=True)
