import pytest

from tests.kit.nginx import Nginx
from tests.kit.ports import wait_until
from tests.kit.prometheus import Prometheus, promtool_check

GOOD = """\
# HELP rolegate_decisions_total Decisions.
# TYPE rolegate_decisions_total counter
rolegate_decisions_total{reason="allowed"} 3
"""


@pytest.mark.component("promtool")
def test_promtool_tells_good_from_bad() -> None:
    assert promtool_check(GOOD) == []
    assert promtool_check(GOOD.replace(" 3", " three"))
    assert promtool_check(GOOD.replace("decisions_total", "decisions"))


@pytest.mark.component("prometheus", "nginx")
def test_what_is_scraped_can_be_queried() -> None:
    with Nginx() as nginx, Prometheus(nginx.port) as prometheus:
        (nginx.folder / "files" / "metrics").write_text(GOOD)
        wait_until(lambda: prometheus.value("rolegate_decisions_total") == 3, what="a sample", timeout_s=20)
        assert prometheus.query("rolegate_decisions_total")[0][0]["reason"] == "allowed"
        assert prometheus.value("no_such_metric") is None
        with pytest.raises(ValueError, match="parse error"):
            prometheus.query("{")
