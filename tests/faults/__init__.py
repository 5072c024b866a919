"""Faults on purpose: what is lost, and what the user sees. ``python -m tests.faults`` shows it."""
