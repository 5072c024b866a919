"""The key pair of the laptop for rented pods."""

from __future__ import annotations

from pathlib import Path

from moola_remote.files import atomic


def make_key_pair(private: Path) -> None:
    """Write a new Ed25519 key pair, `private` and ``.pub`` beside it."""
    import asyncssh

    private.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = asyncssh.generate_private_key("ssh-ed25519", comment="moola-remote")
    public = private.with_name(f"{private.name}.pub")
    atomic.write(public, key.export_public_key().decode("ascii"))
    atomic.write(private, key.export_private_key().decode("ascii"))
