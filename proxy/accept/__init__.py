"""Sockets in: the listener, and one connection after the other on the C parser. Nothing is decided here."""
