"""Exact statistics of Instagram direct messages at constant cost."""

__version__ = "0.1.0"
