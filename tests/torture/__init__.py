"""Torture: real load on a real service whose parts are killed at random, then a recount."""
