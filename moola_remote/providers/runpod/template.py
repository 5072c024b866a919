"""The file of a pod that ``up`` rents from RunPod, as ``pods add --runpod`` writes it."""

from __future__ import annotations

from pathlib import Path

# The same as configs/pods/runpod-4090.yaml, which an installed client lacks.
TEMPLATE = Path(__file__).with_name("runpod-4090.yaml")
ADD = "moola-remote pods add --runpod"
