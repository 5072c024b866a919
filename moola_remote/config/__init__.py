"""The settings of project and pod, and every path on both sides."""
