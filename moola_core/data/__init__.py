"""Windows and series of bars: read, checked, split, sampled."""
