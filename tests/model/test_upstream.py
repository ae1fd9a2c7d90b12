from proxy.model.upstream import Endpoint


def test_the_address_of_an_endpoint_has_brackets_where_it_needs_them() -> None:
    assert [Endpoint(host=host, port=80).address for host in ("a.example", "::1")] == [
        "a.example:80",
        "[::1]:80",
    ]


def test_a_socket_is_named_by_its_path() -> None:
    endpoint = Endpoint(path="/run/a.sock")
    assert (endpoint.address, endpoint.authority) == ("unix:/run/a.sock", "localhost")
    assert Endpoint(host="::1", port=80).authority == "[::1]:80"
