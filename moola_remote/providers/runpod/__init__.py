"""Pods of RunPod, through its REST API v2 alone."""

from __future__ import annotations
