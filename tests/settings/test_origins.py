import pytest
from pydantic import TypeAdapter, ValidationError

from proxy.settings import origins
from proxy.settings.origins import endpoint_of
from tests.settings.files import AnyType


def accepts(kind: AnyType, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("url", "address", "is_tls"),
    [
        ("http://127.0.0.1:9000", "127.0.0.1:9000", False),
        ("http://app.internal", "app.internal:80", False),
        ("http://App.Internal:81", "app.internal:81", False),
        ("http://my_app:1", "my_app:1", False),
        ("http://[::1]:9000", "[::1]:9000", False),
        ("http://10.0.0.1:65535", "10.0.0.1:65535", False),
        ("https://app.internal", "app.internal:443", True),
        ("https://app.internal:80", "app.internal:80", True),
        ("unix:/run/app.sock", "unix:/run/app.sock", False),
        ("unix:/" + "a" * 106, "unix:/" + "a" * 106, False),
    ],
)
def test_an_upstream_is_an_origin_or_a_socket(url: str, address: str, is_tls: bool) -> None:
    assert accepts(origins.UpstreamUrl, url)
    endpoint = endpoint_of(url)
    assert (endpoint.address, endpoint.is_tls) == (address, is_tls)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://a.example/",
            "http://a.example/path",
            "http://a.example?x",
            "http://a#x",
            "http://u@a.example",
        ),
        *("http://a.example:0", "http://a.example:65536", "http://a.example:", "http://", "a.example:80"),
        *(
            "127.0.0.1:80",
            "http://a b",
            "http://127.1:80",
            "http://a\\b",
            "http://a.example?",
            "http://a.example#",
        ),
        *(
            "https://a.example/",
            "HTTPS://a.example",
            "h2c://a.example",
            "http+unix:/run/a",
            "ftp://a.example",
        ),
        *(
            "unix:run/a.sock",
            "unix:",
            "unix://run/a.sock",
            "unix:/run/\0a",
            "unix:/run/a\n",
            "unix:/" + "a" * 107,
        ),
        *(42, None, True, ["http://a.example"]),
    ],
)
def test_anything_else_is_refused(url: object) -> None:
    assert not accepts(origins.UpstreamUrl, url)


@pytest.mark.parametrize("prefix", ["/a", "/api/v1", "/a.b/c~d", "/@scope", "/a:b", "/~user"])
def test_a_prefix_is_of_whole_segments(prefix: str) -> None:
    assert accepts(origins.Prefix, prefix)


@pytest.mark.parametrize(
    "prefix",
    [
        *(
            "",
            "/",
            "a",
            "/a/",
            "//a",
            "/a//b",
            "/./a",
            "/a/..",
            "/.a",
            "/a%20b",
            "/a%2Fb",
            "/a;b",
            "/a?b",
            "/a#b",
        ),
        *("/a b", "/ä", "/a\\b", "/a\n", "/*", "/**", "/a*", 7),
    ],
)
def test_what_two_readers_could_take_for_two_things_is_no_prefix(prefix: object) -> None:
    assert not accepts(origins.Prefix, prefix)


@pytest.mark.parametrize("path", ["/", "/healthz", "/a/b/", "/health?full=1&x=%20"])
def test_health_paths(path: str) -> None:
    assert accepts(origins.HealthPath, path)


@pytest.mark.parametrize("path", ["", "a", "//", "/a b", "/a\r\nX: y", "/a#b", "/../a", "/a%0d"])
def test_other_health_paths_are_refused(path: str) -> None:
    assert not accepts(origins.HealthPath, path)
