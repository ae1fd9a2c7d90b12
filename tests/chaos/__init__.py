"""
Clients, upstreams and signals that do whatever they like, by a seeded dice, on real sockets.

`payload` says whose bytes are whose, `upstream` and `client` roll the dice, `town` puts the proxy between
them, `ledger` compares what each side saw with the audit trail.
"""
