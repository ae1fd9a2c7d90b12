"""Where audit records are kept; one kind per file."""
