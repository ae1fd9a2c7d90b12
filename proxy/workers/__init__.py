"""
More than one core: a supervisor and its workers, each of them a whole proxy on the same port.

- `supervisor`: starts workers, brings back those that die, reloads all or none, ends in order.
- `worker`: one worker as the supervisor sees it; `child` is the same one from inside.
- `channel`: the socket between the two, which also tells a worker that its supervisor is gone.
- `share`: what of the configuration belongs to one worker.
- `gathering` and `merging`: what the workers say on their UNIX sockets, put together for the one admin port.
"""
