from prometheus_client import CollectorRegistry, generate_latest

from proxy.record.state_metrics import Source, StateMetrics


def exposition(*sources: Source) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StateMetrics(sources))
    return generate_latest(registry).decode()


def test_a_gauge_is_read_when_prometheus_asks() -> None:
    held = [1.0]
    source = Source(name="a_state", text="What it is.", rows=lambda: [((), held[0])])
    assert exposition(source) == "# HELP a_state What it is.\n# TYPE a_state gauge\na_state 1.0\n"
    held[0] = 2.5
    assert exposition(source).endswith("a_state 2.5\n")


def test_a_counter_gets_its_ending_and_labels() -> None:
    source = Source(
        name="a_thing",
        text="Things.",
        labels=("kind", "of"),
        is_counter=True,
        rows=lambda: [(("x", 'y"\n'), 3), (("z", ""), 0)],
    )
    assert exposition(source) == (
        "# HELP a_thing_total Things.\n# TYPE a_thing_total counter\n"
        'a_thing_total{kind="x",of="y\\"\\n"} 3.0\na_thing_total{kind="z",of=""} 0.0\n'
    )


def test_a_source_without_rows_is_described_all_the_same() -> None:
    assert (
        exposition(Source(name="a", text="A.", labels=("b",), rows=list)) == "# HELP a A.\n# TYPE a gauge\n"
    )
