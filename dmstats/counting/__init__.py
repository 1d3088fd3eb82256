"""Counting: from a webhook body to one committed transaction."""
