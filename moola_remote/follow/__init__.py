"""Follow a run: its stream, the journal, reconnects."""
