"""rsync: its argv, its output, its process, its tunnel."""
