"""Fetch: staged, verified, promoted; and what has no verified copy."""
