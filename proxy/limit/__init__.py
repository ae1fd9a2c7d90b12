"""How much of something a caller may have: rates, and places in flight."""
