from pathlib import Path

from proxy.vetting import problems, warnings
from tests.settings.files import SMALL, load_text

LIMITS = """
rate_limits:
  each-client: {per: client, rate: 10/1s}
  other-client: {per: client, rate: 10/1s}
listen: {rate_limits: [each-client]}
"""


def found(folder: Path, named: str) -> list[tuple[str, str]]:
    settings = load_text(folder, f"{SMALL}    rate_limits: {named}\n{LIMITS}")
    assert problems(settings) == []
    return [(it.key, it.message) for it in warnings(settings)]


def test_a_limit_that_a_request_meets_twice_is_doubtful(tmp_path: Path) -> None:
    assert found(tmp_path, "[other-client, each-client]") == [
        (
            "routes.deployments.rate_limits[1]",
            (
                "`each-client` is named in `listen.rate_limits` too, so that a request here is counted twice "
                "against one budget; name it in one place, or define a second limit"
            ),
        )
    ]


def test_two_limits_of_one_kind_are_not(tmp_path: Path) -> None:
    assert found(tmp_path, "[other-client]") == []


def test_its_place_is_that_of_the_name(tmp_path: Path) -> None:
    settings = load_text(tmp_path, f"{SMALL}    rate_limits: [each-client]\n{LIMITS}")
    (doubt,) = warnings(settings)
    line = f"{SMALL}    rate_limits".count("\n") + 1
    assert doubt.place == f"{tmp_path}/rolegate.yaml:{line}:19"
