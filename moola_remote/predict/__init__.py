"""Prediction over files: a task a series, spread over pods."""
