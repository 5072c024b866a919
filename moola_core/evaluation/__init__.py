"""Scores, baselines and comparisons."""
