"""Checks of laptop, configuration and pod, each with its cure."""
