"""Ops: what the person on call looks at and what runs on a schedule."""
