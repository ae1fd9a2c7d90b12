"""What a request costs, here and in the proxies that people would use instead; `make bench` runs it."""
