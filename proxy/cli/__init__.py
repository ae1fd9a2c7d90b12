"""The commands, one per file; each imports what is heavy only when it runs."""
