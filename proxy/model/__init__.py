"""Pure nouns: what the rest of the proxy talks about. No clock, no I/O, no logging."""
