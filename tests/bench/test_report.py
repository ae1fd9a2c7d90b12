"""The tables say what was measured, and nothing of what was not."""

from tests.bench import contestants as who
from tests.bench.idle import Memory
from tests.bench.report import (
    as_markdown,
    as_text,
    by_scenario,
    cpu_cell,
    memory_table,
    rate_cell,
    ratios_table,
    tables,
)
from tests.bench.results import Results
from tests.bench.samples import sample
from tests.bench.targets import verdicts


def test_cell_is_the_median_with_its_range() -> None:
    assert cpu_cell([sample(cpu_us=cost) for cost in (60.04, 58.0, 71.0)]) == "60.0 (58 to 71)"
    assert cpu_cell([sample(cpu_us=60.04)]) == "60.0"
    assert rate_cell([sample(per_s=12_345.6)]) == "12,346"


def test_row_has_a_gap_where_a_contestant_did_not_take_part() -> None:
    measured = {
        "small": {who.OURS: [sample(cpu_us=50.0)], who.NGINX: [sample(cpu_us=20.0)]},
        "cold": {who.OURS: [sample(cpu_us=150.0)], who.ENVOY_COLD: [sample(cpu_us=140.0)]},
    }
    table = by_scenario("CPU", measured, cpu_cell)
    assert table.header == ["", who.OURS, who.ENVOY_COLD, who.NGINX]
    assert table.rows == [
        ["small GET, cached token", "50.0", "", "20.0"],
        ["small GET, every token new", "150.0", "140.0", ""],
    ]


def test_ratio_is_taken_within_each_round() -> None:
    measured = {
        "small": {
            who.OURS: [sample(cpu_us=cost) for cost in (50.0, 100.0, 50.0)],
            who.ENVOY: [sample(cpu_us=cost) for cost in (100.0, 200.0, 80.0)],
        }
    }
    table = ratios_table(measured)
    assert table.header == ["", who.ENVOY]
    assert table.rows == [["small GET, cached token", "0.50"]]


def test_memory_of_connections_that_could_not_be_opened_is_left_out() -> None:
    memory = {
        who.OURS: Memory(idle_bytes=50 * 2**20, per_connection={1000: 5120.0, 10_000: 6144.0}),
        who.APACHE: Memory(idle_bytes=15 * 2**20, per_connection={1000: 65_536.0}),
    }
    assert memory_table(memory).rows == [[who.OURS, "50.0", "5.0", "6.0"], [who.APACHE, "15.0", "64.0", ""]]


def test_tables_of_nothing_are_left_out() -> None:
    titles = [table.title for table in tables(Results(), verdicts(Results()))]
    assert titles == ["Targets"]


def test_text_is_aligned_and_markdown_is_a_table() -> None:
    table = by_scenario("CPU", {"small": {who.OURS: [sample(cpu_us=50.0)]}}, cpu_cell)
    assert as_text(table).splitlines() == [
        "== CPU",
        "                         rolegate",
        "small GET, cached token      50.0",
    ]
    assert as_markdown(table).splitlines() == [
        "CPU:",
        "",
        "|  | rolegate |",
        "| --- | --: |",
        "| small GET, cached token | 50.0 |",
    ]
