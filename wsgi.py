"""The WSGI application, for gunicorn and for the `flask` command."""

import sys

from dmstats.app import create_app
from dmstats.core.errors import ConfigError

try:
    app = create_app()
except ConfigError as error:
    print(f"dmstats: {error}", file=sys.stderr)
    sys.exit(3)  # gunicorn's WORKER_BOOT_ERROR: the master halts, instead of trying again for ever
