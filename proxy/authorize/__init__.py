"""
Pure: identity and route become a `Decision`.

Law: nothing here waits, reads a clock or writes a line. Everything is compiled once when the
configuration loads; what then answers a request is dictionaries and closures. `explain` and `lint`
look at the same compiled objects that the data plane asks, so they cannot tell another story.
"""
