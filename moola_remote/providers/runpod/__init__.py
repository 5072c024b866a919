"""Pods of RunPod, through its REST API v2 alone."""
