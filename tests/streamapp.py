"""The whole application for gunicorn, with a short heartbeat to notice closed streams quickly."""

from __future__ import annotations

import os

from dmstats.app import create_app

app = create_app()
app.extensions["dmstats"].hub._heartbeat_seconds = float(os.environ["HEARTBEAT_OF_THE_TEST"])
