"""What happened: audit records before the act, outcomes after it, and the numbers that Prometheus reads."""
