"""The head of a request, header by header: read in one way or refused, and written so that h11 reads it."""

from proxy.errors import RequestError
from tests.fuzz.agreement import assert_upstream_reads
from tests.fuzz.readings import Message, head_of


def check(data: bytes) -> None:
    """Take `data` line by line: the method, the target, the version, and headers."""
    # What llhttp hands on holds no line end and no NUL; nothing else is promised of it.
    method, target, version, *lines = [
        *data.replace(b"\r", b"").replace(b"\0", b"").split(b"\n"),
        b"",
        b"",
        b"",
    ]
    headers = []
    for line in lines:
        name, separator, value = line.partition(b":")
        if separator and is_token(name) and not any(octet < 32 and octet != 9 for octet in value):
            headers.append((name, value.lstrip(b" \t")))
    if not is_token(method) or not method.isupper():
        method = b"GET"
    message = Message(method.decode("latin-1"), target, version.decode("latin-1") or "1.1", headers)
    try:
        head_of(message)
    except RequestError:
        return
    assert_upstream_reads(message)


TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def is_token(name: bytes) -> bool:
    """Say whether `name` is a token, as llhttp demands of names and methods."""
    return bool(name) and not name.strip(TOKEN) and all(octet in TOKEN for octet in name)
