"""Traffic: made-up webhook deliveries, and whether every one of them was counted once."""
