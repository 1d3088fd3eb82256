"""Live: one subscription per worker, fanned out to its open streams."""
