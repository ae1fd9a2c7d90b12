"""
rolegate: an identity-aware reverse proxy. The folder listing is the journey of a request.

- `accept`: sockets in. One connection, parsed; nothing is decided here.
- `identify`: a credential becomes an `Identity`, or a reason why not.
- `authorize`: pure. Identity and route become a `Decision`.
- `forward`: sockets out. The request goes upstream and the response comes back.
- `record`: what happened: audit records, metrics.

`model` and `wire` are the pure nouns and the pure HTTP that the steps share; `gate` asks the one
question, `pipeline`, `relaying` and `ending` carry one request from gate to record, `assemble` alone
knows everyone. `README.md` beside this file follows one request on its whole way.
"""

__version__ = "0.1.0"
