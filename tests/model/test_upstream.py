from proxy.model.upstream import Upstream


def test_the_address_of_an_upstream_has_brackets_where_it_needs_them() -> None:
    def address(host: str) -> str:
        return Upstream(
            name="a",
            host=host,
            port=80,
            max_connections=1,
            max_waiting=1,
            connect_timeout_s=1,
            response_timeout_s=1,
            body_idle_timeout_s=1,
            keep_alive_s=1,
        ).address

    assert [address("a.example"), address("::1")] == ["a.example:80", "[::1]:80"]
