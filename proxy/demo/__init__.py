"""
The demonstration: rolegate with an issuer and an upstream of its own, in one process.

    demonstration    starts the three, prints what to try, shows decisions, ends them
    configuration    the configuration file that the proxy in the middle loads
    issuer           two development issuers: discovery, keys, tokens
    upstream         answers with what it received
    welcome          what is printed at the start
    lines, tail      audit records as they are written, one line for each request
    terminal         colour where a terminal wants it
    keys, tokens     development keys and tokens, also for `rolegate token` and `rolegate explain`

Law: it listens on loopback only, and its issuers are trusted by its own proxy and nobody else.
"""
