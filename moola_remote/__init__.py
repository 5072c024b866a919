"""The laptop's side of moola: pods, deploys, runs, logs and verified results over SSH."""

__version__ = "0.1.0"
