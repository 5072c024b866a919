"""The local pod: an SSH server on 127.0.0.1."""
