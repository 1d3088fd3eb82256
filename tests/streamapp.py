"""The whole application with a short heartbeat, for gunicorn; its streams' ends come quickly."""

from __future__ import annotations

import os

from dmstats.app import create_app

app = create_app()
app.extensions["dmstats"].hub._heartbeat = float(os.environ["HEARTBEAT_OF_THE_TEST"])
