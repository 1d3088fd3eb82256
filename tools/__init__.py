"""How a checkout is installed: run by `make`, with nothing but Python."""
