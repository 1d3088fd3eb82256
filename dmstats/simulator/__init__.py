"""Made-up webhook traffic, and whether each event was counted once.

In: a plan. Out: signed deliveries and a comparison with every counter.
"""
