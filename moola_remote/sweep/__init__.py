"""Sweeps: an optimiser on the laptop decides, ordinary runs on pods execute."""
