"""Strategies for the bytes of responses, from plain to hostile."""

from hypothesis import strategies as st

from tests.fuzz.bytes_of import (
    BODY,
    CODINGS,
    CONNECTION_LINE,
    EXTRA_FRAMING_LINE,
    LENGTHS,
    LINE_END,
    PLAIN_LINE,
    Bytes,
    chunks,
    damaged,
    line,
    mostly,
    one_of,
)

VERSION = mostly(
    one_of([b"HTTP/1.1", b"HTTP/1.0"]),
    one_of(
        [
            b"HTTP/2.0",
            b"HTTP/0.9",
            b"HTTP/1.2",
            b"http/1.1",
            b"ICY",
            b"RTSP/1.0",
            b"HTTP/1.1x",
            b"",
            b"HTTP/1",
            b" HTTP/1.1",
        ]
    ),
)
STATUS = mostly(
    one_of([b"200", b"404", b"204", b"304", b"500", b"206", b"299"]),
    one_of(
        [
            b"100",
            b"101",
            b"103",
            b"099",
            b"000",
            b"20",
            b"2000",
            b"600",
            b"999",
            b"abc",
            b"-200",
            b"+20",
            b"",
            b"2 00",
            b"20x",
            b"0200",
        ]
    ),
    one_in=12,
)
PHRASE = mostly(
    one_of([b" OK", b" ", b"", b" Not \xc3\xa4", b" a b"]),
    one_of(
        [b" a\x00b", b" a\rb", b" a\nb", b"\tOK", b"  OK", b" \x0b", b" \x7f", b" OK\r\nInjected: 1", b"x"]
    ),
    one_in=16,
)
SPACE = mostly(st.just(b" "), one_of([b"  ", b"\t", b"", b"\x0b"]), one_in=60)
INTERIM = one_of(
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.0 100 Continue\r\n\r\n",
    ]
)
SPECIAL_LINE = st.one_of(
    CONNECTION_LINE,
    line(one_of([b"Upgrade"]), one_of([b"websocket", b"h2c"])),
    line(one_of([b"Trailer", b"Keep-Alive"]), one_of([b"X-T", b"timeout=5"])),
    line(
        one_of([b"X-Request-Id", b"Set-Cookie", b"Location", b"Date"]), one_of([b"v", b"/a", b"a=b; Path=/"])
    ),
)


@st.composite
def response(draw: st.DrawFn) -> bytes:
    """Return one final response, with what stands before it, or what poses as one."""
    before = draw(mostly(st.just([]), st.lists(INTERIM, min_size=1, max_size=3), one_in=6))  # type: ignore[arg-type]  # lists of responses
    start = [draw(VERSION), draw(SPACE), draw(STATUS), draw(PHRASE), draw(LINE_END)]
    lines, body = draw(st.lists(PLAIN_LINE, max_size=3)), b""
    framing = draw(st.sampled_from(["length", "chunks", "none", "both"]))
    if framing in ("length", "both"):
        body = draw(BODY)
        length = b"%d" % len(body)
        lines.append(
            draw(
                line(one_of([b"Content-Length", b"content-length"]), mostly(st.just(length), one_of(LENGTHS)))
            )
        )
    if framing == "chunks" or (framing == "both" and draw(st.booleans())):
        body, _ = draw(chunks())
        lines.append(
            draw(
                line(
                    one_of([b"Transfer-Encoding"]),
                    mostly(one_of([b"chunked", b"Chunked"]), one_of(CODINGS), one_in=12),
                )
            )
        )
    if framing == "none":
        body = draw(BODY)
    lines += draw(mostly(st.just([]), st.lists(SPECIAL_LINE, min_size=1, max_size=2), one_in=4))  # type: ignore[arg-type]  # lists of lines
    lines += draw(mostly(st.just([]), st.lists(EXTRA_FRAMING_LINE, min_size=1, max_size=2), one_in=12))  # type: ignore[arg-type]  # lists of lines
    return b"".join([*before, *start, *draw(st.permutations(lines)), draw(LINE_END), body])


RESPONSE: Bytes = damaged(
    st.tuples(response(), mostly(st.just(b""), st.one_of(response(), BODY), one_in=6)).map(b"".join)
)
"""All that comes on one connection for one request, perhaps with something behind it."""

METHODS = st.sampled_from(["GET", "POST", "HEAD"])
