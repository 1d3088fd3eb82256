"""Benchmarks: what proves the figures; ``python -m benchmarks`` runs them all."""
