"""What makes pods: the embedded one, any SSH host, RunPod."""
