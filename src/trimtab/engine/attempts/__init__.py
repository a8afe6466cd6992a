"""Patience: which deployment is tried when, for how long, and when to stop."""
