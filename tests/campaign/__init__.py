"""Random sequences of commands, jobs and faults against what DESIGN.md promises."""
