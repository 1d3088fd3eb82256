"""Installs a checkout; run by `make`, requires only Python."""
