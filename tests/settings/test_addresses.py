from ipaddress import ip_network

import pytest
from pydantic import TypeAdapter, ValidationError

from proxy.settings import addresses
from proxy.settings.addresses import Address, is_loopback
from tests.settings.files import AnyType


def accepts(kind: AnyType, value: object) -> bool:
    try:
        TypeAdapter[object](kind).validate_python(value)
    except ValidationError:
        return False
    return True


def message_of(kind: AnyType, value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter[object](kind).validate_python(value)
    return caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("[::1]:8080", "::1", 8080),
        ("[::]:8080", "::", 8080),
        ("localhost:0", "localhost", 0),
        ("gate.internal:65535", "gate.internal", 65_535),
    ],
)
def test_address_is_host_and_port(text: str, host: str, port: int) -> None:
    address = TypeAdapter[Address](addresses.ListenAddress).validate_python(text)
    assert address == Address(host, port)
    assert str(address) == text


@pytest.mark.parametrize(
    "value",
    [
        *("", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:08"),
        *("127.0.0.1:http", "::1:8080", "[::1]", "[127.0.0.1]:80", "[localhost]:80", "[::1%eth0]:80"),
        *("http://127.0.0.1:80", "127.1:80", "0x7f.1:80", "a b:80", "host/:80", "-a:80", "127.0.0.1:80 "),
        *(8080, None, True, ["127.0.0.1:80"], "٣.0.0.1:80", "127.0.0.1:٣"),
    ],
)
def test_anything_else_is_no_address(value: object) -> None:
    assert not accepts(addresses.ListenAddress, value)


def test_address_without_host_says_how_to_listen_everywhere() -> None:
    assert message_of(addresses.ListenAddress, ":80").endswith(
        "for every interface write `0.0.0.0:80` or `[::]:80`"
    )


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("10.1.2.3/32", "10.1.2.3/32"),
        ("0.0.0.0/1", "0.0.0.0/1"),
        ("fd00::/8", "fd00::/8"),
        ("::1", "::1/128"),
    ],
)
def test_address_range_is_cidr_or_one_address(text: str, network: str) -> None:
    assert TypeAdapter[object](addresses.AddressRange).validate_python(text) == ip_network(network)


@pytest.mark.parametrize(
    "value", ["", "10.0.0.0/33", "10.0.0/8", "any", "*", "10.0.0.0/8 ", "localhost", 10, None]
)
def test_anything_else_is_no_address_range(value: object) -> None:
    assert "expected an address range" in message_of(addresses.AddressRange, value)


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "1.2.3.4/0"])
def test_range_of_all_addresses_is_refused(text: str) -> None:
    assert "would believe forwarding headers from anybody" in message_of(addresses.AddressRange, text)


def test_range_with_host_bits_is_refused_with_the_range_meant() -> None:
    assert message_of(addresses.AddressRange, "10.1.2.3/8").endswith("such as `10.0.0.0/8`")


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        *((host, True) for host in ("localhost", "127.0.0.1", "127.255.0.1", "::1")),
        *((host, False) for host in ("", "127.0.0.1.example.com", "localhost.example.com", "10.0.0.1")),
        *(
            (host, False)
            for host in ("::2", "127.1", "0x7f000001", "2130706433", "LOCALHOST", "0.0.0.0", "::")
        ),
    ],
)
def test_loopback_is_only_this_machine(host: str, is_local: bool) -> None:
    assert is_loopback(host) is is_local


@pytest.mark.parametrize(
    "url",
    [
        "https://gitlab.example.com",
        "https://gitlab.example.com/",
        "https://sso.example.com/realms/corp",
        "https://gitlab.example.com:8443",
        "https://192.0.2.7",
        "https://[2001:db8::1]:8443/a",
        "https://token.actions.githubusercontent.com/octocat-inc",
        "https://kubernetes.default.svc.cluster.local",
        "http://127.0.0.1:8080",
        "http://[::1]:8080/realms/x",
        "http://localhost",
    ],
)
def test_issuer_url_is_kept_byte_for_byte(url: str) -> None:
    assert TypeAdapter[str](addresses.IssuerUrl).validate_python(url) == url


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://gitlab.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "http://localhost.evil",
        ),
        *(
            "http://127.1",
            "http://2130706433",
            "http://[::ffff:10.0.0.1]",
            "ftp://a.example",
            "a.example",
            "",
        ),
        *("https://", "https:///path", "https:a.example", "//a.example", "HTTPS://a.example", "https://a b"),
        *("https://user@a.example", "https://user:pw@a.example", "http://127.0.0.1@a.example"),
        *("https://a.example?x", "https://a.example?", "https://a.example#f", "https://a.example#"),
        *("https://a.example:0", "https://a.example:65536", "https://a.example:x", "https://a.example:"),
        *("https://a.example\\@b", "https://a.example\t", "https://a.example\n", "https://ä.example"),
        *(
            "https://a..example",
            "https://.a",
            "https://a.example.",
            "https://[::1",
            "https://[::1%25lo]",
            "https://*",
        ),
    ],
)
def test_other_issuer_urls_are_refused(url: str) -> None:
    assert not accepts(addresses.IssuerUrl, url)


@pytest.mark.parametrize(
    ("url", "is_good"),
    [
        ("https://a.example/keys", True),
        ("https://a.example/keys?appid=7", True),
        ("http://127.0.0.1:8080/keys", True),
        ("http://a.example/keys", False),
        ("https://user@a.example/keys", False),
        ("https://a.example/keys#x", False),
        ("file:///etc/keys.json", False),
    ],
)
def test_url_of_keys_may_have_a_query(url: str, is_good: bool) -> None:
    assert accepts(addresses.JwksUrl, url) is is_good


@pytest.mark.parametrize(
    "host",
    [
        *(
            "a",
            "localhost",
            "api.example.com",
            "*.example.com",
            "*.a.b.c",
            "my_app.internal",
            "xn--bcher-kva.example",
        ),
        *("192.0.2.7", "[::1]", "[2001:db8::1]", "a" * 63 + ".example", ".".join(["a" * 49] * 5) + ".abc"),
    ],
)
def test_host_is_exact_or_has_one_leading_wildcard(host: str) -> None:
    assert accepts(addresses.HostPattern, host)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("API.example.com", "in lower case"),
        ("*", "an exact host"),
        ("*.*.example.com", "an exact host"),
        ("a.*.example.com", "an exact host"),
        ("*a.example.com", "an exact host"),
        ("**.example.com", "an exact host"),
        ("bücher.example", "ASCII form"),
        ("api.example.com:8080", "without port"),
        ("api.example.com.", "without port or dot"),
        (".example.com", "without port"),
        ("a..b", "without port"),
        ("https://a.example", "without port"),
        ("a.example/x", "without port"),
        ("*.", "without port"),
        ("", "without port"),
        ("a b", "without port"),
        ("-a.example", "without port"),
        ("a-.example", "without port"),
        ("::1", "without port"),
        ("[::0:1]", "without port"),
        ("[2001:DB8::1]", "in lower case"),
        ("*.[::1]", "without port"),
        ("127.1", "without port"),
        ("1.2.3.4.5", "without port"),
        ("a.0x7f", "without port"),
        ("a" * 64 + ".example", "without port"),
        (".".join(["a" * 49] * 5) + ".abcd", "without port"),
    ],
)
def test_other_hosts_are_refused_with_a_reason(host: str, message: str) -> None:
    assert message in message_of(addresses.HostPattern, host)


@pytest.mark.parametrize("kind", [addresses.IssuerUrl, addresses.JwksUrl, addresses.HostPattern])
@pytest.mark.parametrize("value", [42, None, True, ["https://a.example"]])
def test_only_text_is_read(kind: AnyType, value: object) -> None:
    assert not accepts(kind, value)
