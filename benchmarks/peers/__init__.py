"""The ways a user would pick instead, each written as a competent user would."""
