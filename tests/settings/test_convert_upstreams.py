from pathlib import Path

from proxy.model.route import Rewrite
from proxy.model.upstream import Ejection, Retries, Timeouts
from proxy.settings.convert import routes_of, upstreams_of
from proxy.settings.convert_upstreams import rewrite_of
from proxy.settings.origins import METADATA_NETWORKS
from proxy.settings.upstreaming import Rewrite as RewriteSettings
from tests.settings.files import SMALL, load_text
from tests.settings.test_upstreaming import with_upstream


def test_defaults_of_the_settings_and_of_the_nouns_are_the_same(tmp_path: Path) -> None:
    (upstream,) = upstreams_of(load_text(tmp_path, SMALL))
    assert (upstream.ejection, upstream.retries) == (Ejection(), Retries())
    assert (upstream.wait_timeout_s, upstream.connect_timeout_s) == (5, 5)
    assert upstream.denied_networks == METADATA_NETWORKS
    assert upstream.health is None


def test_metadata_is_denied_beside_what_is_configured_unless_it_is_said(tmp_path: Path) -> None:
    def denied(dns: str) -> int:
        text = with_upstream(f'url: "http://a.example", dns: {{{dns}}}')
        return len(upstreams_of(load_text(tmp_path, text))[0].denied_networks)

    assert denied("deny_networks: [10.0.0.0/8]") == len(METADATA_NETWORKS) + 1
    assert denied("deny_networks: [10.0.0.0/8], unsafe_allow_metadata: true") == 1


def test_a_route_changes_the_times_that_it_names(tmp_path: Path) -> None:
    text = SMALL.replace("    upstream:", "    timeouts: {response: 1s}\n    upstream:")
    (route,) = routes_of(load_text(tmp_path, text))
    assert route.timeouts == Timeouts(response_s=1, body_idle_s=60)
    (other,) = routes_of(load_text(tmp_path, SMALL))
    assert other.timeouts is None


def test_a_rewrite_counts_segments() -> None:
    assert rewrite_of(RewriteSettings()) is None
    assert rewrite_of(RewriteSettings(strip_prefix="/a/b")) == Rewrite(segments=2)
    assert rewrite_of(RewriteSettings(add_prefix="/a")) == Rewrite(prefix="/a")
