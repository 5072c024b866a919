"""A pod in use: connection, agent, checks before a job, watchdog."""
