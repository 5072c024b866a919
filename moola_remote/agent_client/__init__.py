"""The laptop's side of the agent: its program, its verbs, their answers."""
