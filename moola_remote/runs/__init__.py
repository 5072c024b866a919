"""Runs: start, find, record, resume, replay."""
