"""Strategies for the bytes of requests: one, or several on one connection, from plain to hostile."""

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

METHOD = mostly(
    one_of([b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"PURGE"]),
    one_of(
        [
            b"get",
            b"Get",
            b"GE T",
            b"G\x00T",
            b"CONNECT",
            b"TRACE",
            b"PRI",
            b"FOO",
            b"",
            b"\x16\x03",
            b"GET\t",
            b"POSTX",
            b"SOURCE",
        ]
    ),
)
TARGET = mostly(
    one_of([b"/", b"/a", b"/a/b?c=d", b"/%61", b"/a%2Fb", b"/?", b"/a?x=/../y", b"/a:b"]),
    one_of(
        [
            *(b"/../x", b"//x", b"/%2e%2e/x", b"/a;b", b"*", b"a.example", b"http://a.example/x"),
            *(b"http://b.example/x", b"/a#b"),
            *(b"/a b", b"/a\tb", b"/\x00", b"/\xff", b"", b"/a\x0b", b"/ HTTP/1.1"),
            *(b"/a HTTP/1.1\r\nX-A: b", b"/%", b"/%zz", b"/\\"),
            *(b"http://a.example", b"HTTP://A.example/", b"https://u@a.example/", b"/\x7f", b'/"'),
            *(b"/a\x0c", b"a.example:443"),
        ]
    ),
    one_in=12,
)
VERSION = mostly(
    st.just(b"HTTP/1.1"),
    one_of(
        [
            *(b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.10", b"HTTP/01.1"),
            *(b"HTTP/1", b"HTTP/1,1"),
            *(b"RTSP/1.0", b"ICE/1.0", b"HTTP/1.1 ", b"HTTP/1.1x", b"", b" HTTP/1.1", b"HTTP /1.1"),
            *(b"HTTP/1.1\t", b"HTTP/+1.1"),
        ]
    ),
    one_in=16,
)
SPACE = mostly(st.just(b" "), one_of([b"  ", b"\t", b"", b"\x0b", b"\x0c", b" \t", b"\r"]), one_in=60)
EMPTY_LINES = mostly(
    st.just(b""), one_of([b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"\r\n ", b"\x00", b"\n\r\n"]), one_in=20
)
HOST_LINE = mostly(
    st.just(b"Host: a.example\r\n"),
    st.one_of(
        one_of(
            [
                *(b"", b"Host: a.example\r\nHost: a.example\r\n"),
                *(b"Host: a.example\r\nHost: b.example\r\n", b"Host: a.example,b\r\n"),
                *(b"Host:\r\n", b"Host: a b\r\n", b"Host : a.example\r\n", b"Host: a.example:80\r\n"),
                *(b"Host: A.EXAMPLE\r\n", b"H\xc3\xb6st: a\r\n"),
                *(b"Host: 127.1\r\n", b"Host: [::1]\r\n", b"Host: a.example\x00\r\n"),
                *(b"Host: user@a.example\r\n", b"host: a.example\r\n"),
            ]
        ),
        line(one_of([b"Host"]), one_of([b"a.example", b"b.example"])),
    ),
    one_in=12,
)
SPECIAL_LINE = st.one_of(
    CONNECTION_LINE,
    line(one_of([b"Expect"]), one_of([b"100-continue", b"100-Continue", b"x", b"100-continue, x"])),
    line(one_of([b"Upgrade"]), one_of([b"websocket", b"h2c"])),
    line(one_of([b"TE", b"Trailer"]), one_of([b"trailers", b"X-T"])),
)


@st.composite
def request(draw: st.DrawFn) -> bytes:
    """Return one request, or what poses as one."""
    start = [draw(METHOD), draw(SPACE), draw(TARGET), draw(SPACE), draw(VERSION), draw(LINE_END)]
    lines, body = draw(st.lists(PLAIN_LINE, max_size=3)), b""
    framing = draw(st.sampled_from(["none", "length", "chunks", "both"]))
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
    lines += draw(mostly(st.just([]), st.lists(SPECIAL_LINE, min_size=1, max_size=2), one_in=4))  # type: ignore[arg-type]  # lists of lines
    lines += draw(mostly(st.just([]), st.lists(EXTRA_FRAMING_LINE, min_size=1, max_size=2), one_in=12))  # type: ignore[arg-type]  # lists of lines
    lines.append(draw(HOST_LINE))
    return b"".join([draw(EMPTY_LINES), *start, *draw(st.permutations(lines)), draw(LINE_END), body])


REQUEST: Bytes = damaged(request())
REQUESTS: Bytes = st.lists(REQUEST, min_size=1, max_size=4).map(b"".join)
"""All that comes on one connection."""
