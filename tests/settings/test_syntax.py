from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from proxy.settings import syntax
from proxy.settings.secrets import Revealed
from tests.settings.files import AnyType


def read(kind: AnyType, value: object, folder: Path = Path("/conf")) -> object:
    return TypeAdapter[object](kind).validate_python(value, context={"folder": folder})


def message_of(kind: AnyType, value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        read(kind, value)
    return caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("name", ["a", "A", "7", "deploy-er", "deploy_er", "deploy.er", "a" * 63, "a" * 64])
def test_name_is_letters_digits_and_three_signs(name: str) -> None:
    assert read(syntax.Name, name) == name


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "-a", ".a", "_a", "a b", "a,b", "a/b", "a:b", "ä", "a\n", "a\r\nb: c", "٣", "*"]
)
def test_other_names_are_refused(name: str) -> None:
    assert "expected a name of" in message_of(syntax.Name, name)


def test_name_does_not_come_from_a_reference() -> None:
    assert "a name written out" in message_of(syntax.Name, Revealed("deployer"))


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/a", "/a/", "/a/b.c", "/*", "/**", "/a/*", "/a/**", "/a/*/b", "/*/*/**", "/a%2Fb", "/a%2A"),
        *("/.rolegatex/a", "/a/.rolegate/b", "/rolegate", "/.well-known/x", "/caf%C3%A9", "/~a", "/@scope"),
    ],
)
def test_path_has_whole_segments(path: str) -> None:
    assert read(syntax.PathPattern, path) == path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "starts with `/`"),
        ("a", "starts with `/`"),
        ("*", "starts with `/`"),
        ("**", "starts with `/`"),
        ("https://a/b", "starts with `/`"),
        ("/a/**/b", "`**` as the last segment only"),
        ("/**/", "`**` as the last segment only"),
        ("/**/**", "`**` as the last segment only"),
        ("/a*", "as a whole segment"),
        ("/*a/b", "as a whole segment"),
        ("/a/b*c", "as a whole segment"),
        ("/a/***", "as a whole segment"),
        ("/a**", "as a whole segment"),
        ("/a?b", "never takes part in matching"),
        ("/a#b", "never takes part in matching"),
        ("/.rolegate", "answered by rolegate itself"),
        ("/.rolegate/", "answered by rolegate itself"),
        ("/.rolegate/**", "answered by rolegate itself"),
        ("/%2erolegate/x", "answered by rolegate itself"),
        ("/.RoleGate/x", "answered by rolegate itself"),
    ],
)
def test_other_paths_are_refused_with_a_reason(path: str, message: str) -> None:
    assert message in message_of(syntax.PathPattern, path)


@pytest.mark.parametrize("method", ["GET", "POST", "PROPFIND", "M-SEARCH", "QUERY"])
def test_method_is_one_that_can_be_read(method: str) -> None:
    assert read(syntax.Method, method) == method


@pytest.mark.parametrize("method", ["", "get", "Get", "GE T", "GET ", "GET\n", "GÉT", "GET,POST", "*:"])
def test_other_methods_are_refused(method: str) -> None:
    assert "in upper case" in message_of(syntax.Method, method)


@pytest.mark.parametrize("method", ["FOO", "GETS", "X1", "DESCRIBE", "PRI"])
def test_methods_that_the_parser_would_refuse_are_refused(method: str) -> None:
    """A route with one of them would never match, and nobody would know why."""
    assert "a method that HTTP parsers know" in message_of(syntax.Method, method)


def test_a_method_that_is_misspelt_is_said_to_be() -> None:
    assert message_of(syntax.Method, "PROPFND").endswith("; did you mean `PROPFIND`?")


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
def test_methods_that_are_never_forwarded_are_refused(method: str) -> None:
    assert "never forwarded" in message_of(syntax.Method, method)


@pytest.mark.parametrize("name", ["X-Rolegate-Subject", "Remote-User", "x", "X-1", "X" * 64])
def test_header_name_is_letters_digits_and_hyphens(name: str) -> None:
    assert read(syntax.HeaderName, name) == name


@pytest.mark.parametrize("name", ["", "X_User", "X User", "X:", "X-\r\nY", "Ü", "-X", "X" * 65, "X.Y"])
def test_other_header_names_are_refused(name: str) -> None:
    assert "expected a header name" in message_of(syntax.HeaderName, name)


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "host", "Authorization", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive"),
        *("Proxy-Authorization", "Proxy-Connection", "TE", "Trailer", "Upgrade", "Cookie", "Set-Cookie"),
        *(
            "Expect",
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Anything",
            "X-Real-IP",
            "Via",
            "traceparent",
        ),
    ],
)
def test_headers_with_a_meaning_of_their_own_are_refused(name: str) -> None:
    assert "a meaning of its own" in message_of(syntax.HeaderName, name)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("JWT", "jwt"),
        ("at+jwt", "at+jwt"),
        ("application/at+jwt", "at+jwt"),
        ("APPLICATION/AT+JWT", "at+jwt"),
        ("", ""),
        ("vendor.token+jwt", "vendor.token+jwt"),
    ],
)
def test_token_type_is_kept_in_one_spelling(written: str, kept: str) -> None:
    assert read(syntax.TokenType, written) == kept


@pytest.mark.parametrize(
    "kind",
    [
        *("logout+jwt", "secevent+jwt", "dpop+jwt", "oauth-id-jag+jwt", "global-token-revocation+jwt"),
        *("Logout+JWT", "application/logout+jwt", "Application/DPoP+JWT", "vc+sd-jwt", "dc+SD-JWT", "sd-jwt"),
        *("kb+jwt", "token-introspection+jwt"),
    ],
)
def test_token_types_that_say_something_else_are_refused(kind: str) -> None:
    assert "says something else" in message_of(syntax.TokenType, kind)


@pytest.mark.parametrize("kind", ["a b", "a/b/c", "jwt\n", "ä", "*", "application/application/jwt"])
def test_other_token_types_are_refused(kind: str) -> None:
    assert "expected a token type" in message_of(syntax.TokenType, kind)


@pytest.mark.parametrize(
    "name",
    ["sub", "https://acme.example/roles", "kubernetes.io", "/a", "/a/b", "/a~1b/c~0d", "/a/", "a/b", " "],
)
def test_claim_is_a_name_or_a_pointer(name: str) -> None:
    assert read(syntax.ClaimName, name) == name


@pytest.mark.parametrize("name", ["", "/a~", "/a~2", "/~a/b"])
def test_other_claims_are_refused(name: str) -> None:
    assert "JSON Pointer" in message_of(syntax.ClaimName, name)


@pytest.mark.parametrize("word", ["", "a\nb", "a\0", "\x7f", "\u202e"])
def test_word_is_text_that_prints(word: str) -> None:
    assert read(syntax.Word, "https://api.example.com ü") == "https://api.example.com ü"
    assert "without control characters" in message_of(syntax.Word, word)


@pytest.mark.parametrize(
    ("count", "is_good"), [(0, False), (1, True), (2, True), (1_000_000, True), (1_000_001, False)]
)
def test_counts_are_bounded(count: int, is_good: bool) -> None:
    if is_good:
        assert read(syntax.Count, count) == count
    else:
        assert message_of(syntax.Count, count)


@pytest.mark.parametrize("value", ["1", 1.0, True, None])
def test_count_is_a_number(value: object) -> None:
    assert message_of(syntax.Count, value)


@pytest.mark.parametrize("value", ["true", "yes", 1, 0, None])
def test_flag_is_true_or_false(value: object) -> None:
    assert read(syntax.Flag, True) is True
    assert message_of(syntax.Flag, value)


def test_file_of_the_configuration_is_relative_to_its_folder() -> None:
    assert read(syntax.ConfigFile, "keys/a.json", Path("/conf")) == Path("/conf/keys/a.json")
    assert read(syntax.ConfigFile, "/keys/a.json", Path("/conf")) == Path("/keys/a.json")


def test_file_that_is_written_is_relative_to_the_working_directory() -> None:
    assert read(syntax.WorkingFile, "audit.jsonl", Path("/conf")) == Path("audit.jsonl")


@pytest.mark.parametrize("kind", [syntax.ConfigFile, syntax.WorkingFile])
@pytest.mark.parametrize("value", ["", "a\0b", 1, None, True])
def test_anything_else_is_no_file(kind: AnyType, value: object) -> None:
    assert "expected the path of a file" in message_of(kind, value)


@pytest.mark.parametrize("value", [1, 2, syntax.MOST_WORKERS, "auto"])
def test_workers_are_counted_or_left_to_the_machine(value: object) -> None:
    assert read(syntax.WorkerCount, value) == value


@pytest.mark.parametrize("value", [0, -1, syntax.MOST_WORKERS + 1, True, 1.0, "1", "AUTO", "", None, []])
def test_anything_else_is_no_number_of_workers(value: object) -> None:
    assert message_of(syntax.WorkerCount, value).startswith("expected a number from 1 to 64, or `auto`")


@pytest.mark.parametrize(
    ("written", "kept"), [("websocket", "websocket"), ("SPDY/3.1", "spdy/3.1"), ("tcp", "tcp")]
)
def test_upgrade_protocol_is_kept_in_one_spelling(written: str, kept: str) -> None:
    assert read(syntax.UpgradeProtocol, written) == kept


@pytest.mark.parametrize("protocol", ["", "a b", "a/", "/1", "a/b/c", "a,b", "websocket\r\nX: y", "a" * 65])
def test_what_is_no_upgrade_protocol_is_refused(protocol: str) -> None:
    assert "a protocol such as" in message_of(syntax.UpgradeProtocol, protocol)


@pytest.mark.parametrize("protocol", ["h2c", "H2C", "h2", "HTTP/2.0", "TLS/1.0", "connect-udp"])
def test_upgrade_protocols_that_carry_requests_are_refused(protocol: str) -> None:
    assert "without a decision" in message_of(syntax.UpgradeProtocol, protocol)
