import pytest
from prometheus_client import CollectorRegistry, Counter

from proxy.control.pages import Pages


async def test_families_are_for_the_supervisor_only() -> None:
    registry = CollectorRegistry()
    Counter("a", "A.", registry=registry).inc(3)
    page = await Pages(registry, lambda: ["keys"], for_supervisor=True).show("GET", b"/families", "")
    assert page.status == 200
    assert b"a_total" in page.body
    assert (await Pages(registry, list).show("GET", b"/families", "")).status == 404


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", b"/livez?verbose", 200),
        ("HEAD", b"/readyz", 200),
        ("PUT", b"/livez", 405),
        ("GET", b"/Livez", 404),
        ("PUT", b"/nothing", 404),
        ("GET", b"http://a/livez", 404),
    ],
)
async def test_a_page_is_found_by_its_path_alone(method: str, target: bytes, status: int) -> None:
    assert (await Pages(CollectorRegistry(), list).show(method, target, "")).status == status


async def test_liveness_waits_for_nothing() -> None:
    async def never() -> None:
        raise AssertionError("liveness looked for something")

    assert (await Pages(CollectorRegistry(), list, never).show("GET", b"/livez", "")).status == 200
