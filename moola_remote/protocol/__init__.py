"""docs/protocol.md as types; no network."""
