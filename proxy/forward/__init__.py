"""Sockets out: pooled connections to upstreams, and the response on its way back."""
