"""Measurements: what a request costs here and in the peers, on the same machine in the same run."""
