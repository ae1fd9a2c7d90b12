"""The admin port: what operators and their tools ask. Nothing here is reachable from the data port."""
