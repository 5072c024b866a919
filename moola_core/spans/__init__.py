"""Spans of bars: half-open intervals and grids of them."""
