"""The keys of upstreams: what a value may be, at its limits and beside them."""

from pathlib import Path

import pytest

from tests.settings.files import SMALL, load_text, problems_of

WRITTEN = 'deployments: {url: "http://127.0.0.1:9000"}'


def with_upstream(text: str) -> str:
    return SMALL.replace(WRITTEN, f"deployments: {{{text}}}")


def test_several_endpoints_are_kept_in_order(tmp_path: Path) -> None:
    text = with_upstream('urls: ["http://a.example", "https://b.example", "unix:/run/a.sock"]')
    endpoints = load_text(tmp_path, text).upstreams["deployments"].endpoints
    assert [(endpoint.address, endpoint.is_tls) for endpoint in endpoints] == [
        ("a.example:80", False),
        ("b.example:443", True),
        ("unix:/run/a.sock", False),
    ]


GOOD = [
    *("retries: {attempts: 0}", "retries: {attempts: 10}", "retries: {budget_percent: 0}"),
    *("retries: {budget_percent: 100}", "ejection: {max_percent: 100}", "ejection: {max_percent: 0}"),
    *("health: {path: /, statuses: [200, 599]}", "dns: {deny_networks: [10.0.0.0/8, '::1', 0.0.0.0/0]}"),
    *("balance: consistent-hash", "timeouts: {wait: 1ms}"),
]
BAD = [
    *("retries: {attempts: -1}", "retries: {attempts: 11}", "retries: {budget_percent: 101}"),
    *("retries: {budget_percent: -1}", "retries: {reserve: 0}", "ejection: {after: 0}", "balance: random"),
    *(
        "ejection: {max_percent: 101}",
        "health: {path: a}",
        "health: {}",
        "health: {path: /, statuses: [199]}",
    ),
    *("health: {path: /, statuses: [600]}", "health: {path: /, statuses: []}", "dns: {deny_networks: []}"),
    *("dns: {deny_networks: [10.0.0.1/8]}", "dns: {deny_networks: [a.example]}", "timeouts: {wait: 0s}"),
    *("retries: {statuses: [503]}", "dns: {verify: false}"),
]


@pytest.mark.parametrize("text", GOOD)
def test_what_may_be_written(tmp_path: Path, text: str) -> None:
    load_text(tmp_path, with_upstream(f'url: "http://a.example", {text}'))


@pytest.mark.parametrize("text", BAD)
def test_what_may_not(tmp_path: Path, text: str) -> None:
    (problem,) = problems_of(tmp_path, with_upstream(f'url: "http://a.example", {text}'))
    assert "upstreams.deployments." in problem
