from pathlib import Path

import pytest

from tests.settings.files import SMALL, load_text, problems_of
from tests.settings.test_upstreaming import with_upstream

URLS = ", ".join(f'"http://10.0.0.1:{port}"' for port in range(1, 66))


@pytest.mark.parametrize(
    ("upstream", "problem"),
    [
        ("max_waiting: 1", "upstreams.deployments: expected one of `url` and `urls`, got neither"),
        (
            'url: "http://a.example", urls: ["http://b.example"]',
            "upstreams.deployments: expected one of `url` and `urls`, got both",
        ),
        (
            "urls: [http://a.example, http://A.example:80]",
            "upstreams.deployments.urls[1]: expected an address of its own, got `http://A.example:80`",
        ),
        (
            f"urls: [{URLS}]",
            "upstreams.deployments.urls: expected at most 64 endpoints, got 65",
        ),
        (
            'url: "http://a.example", tls: {minimum_version: "1.3"}',
            "upstreams.deployments.tls: expected an `https://` URL beside it, got none",
        ),
        (
            'url: "https://a.example", tls: {key_file: k.pem}',
            "upstreams.deployments.tls: expected `certificate_file` beside `key_file`, got the key alone",
        ),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, upstream: str, problem: str) -> None:
    (found,) = problems_of(tmp_path, with_upstream(upstream))
    assert problem in found


@pytest.mark.parametrize(
    "upstream",
    [
        f"urls: [{URLS.rpartition(',')[0]}]",
        'urls: ["http://a.example", "https://a.example"], tls: {minimum_version: "1.3"}',
        'url: "https://a.example", tls: {certificate_file: both.pem}',
    ],
)
def test_what_does(tmp_path: Path, upstream: str) -> None:
    load_text(tmp_path, with_upstream(upstream))


def with_rewrite(paths: str, strip: str) -> str:
    text = SMALL.replace("[/deployments/**]", paths)
    return text.replace(
        "    upstream:", f"    rewrite: {{strip_prefix: {strip}, add_prefix: /x}}\n    upstream:"
    )


@pytest.mark.parametrize(
    ("paths", "strip"), [("[/a]", "/a"), ("[/a/**, /a/b]", "/a"), ("[/a/b/*/c]", "/a/b"), ("[/a/]", "/a")]
)
def test_every_path_begins_with_the_prefix_that_is_taken_off(tmp_path: Path, paths: str, strip: str) -> None:
    load_text(tmp_path, with_rewrite(paths, strip))


@pytest.mark.parametrize(
    ("paths", "strip"),
    [("[/**]", "/a"), ("[/ab/**]", "/a"), ("[/*/b]", "/a"), ("[/a]", "/a/b"), ("[/A]", "/a")],
)
def test_one_that_does_not_is_an_error(tmp_path: Path, paths: str, strip: str) -> None:
    (found,) = problems_of(tmp_path, with_rewrite(paths, strip))
    assert "routes.deployments.match.paths[0]: expected a path that begins with `strip_prefix`" in found
