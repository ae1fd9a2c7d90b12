"""The tests mirror `proxy/`; `kit` starts the real components they need, `bench` measures."""
