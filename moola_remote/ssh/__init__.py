"""SSH: where a pod is, its host key, the connection, its channels and transfers."""
