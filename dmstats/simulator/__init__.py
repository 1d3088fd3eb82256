"""Simulated webhook traffic, and a check that each event was counted once.

In: a plan. Out: signed deliveries and a comparison with every counter.
"""
