"""Commands: what ``flask`` offers, each a few lines over a wing."""
