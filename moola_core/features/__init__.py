"""Features, targets and candidates of windows."""
