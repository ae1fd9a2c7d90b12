"""
Strategies for the pieces that requests and responses have in common, byte by byte.

Each piece is plain most of the time, or no message would get past its first line. The tables of hostile
pieces are what parsers are known to read in different ways.
"""

from collections.abc import Sequence

from hypothesis import strategies as st

Bytes = st.SearchStrategy[bytes]


def one_of(pieces: Sequence[bytes]) -> Bytes:
    """Return the strategy that chooses among `pieces`; the first is the simplest."""
    return st.sampled_from(pieces)


def mostly(plain: Bytes, hostile: Bytes, *, one_in: int = 24) -> Bytes:
    """Return the strategy that takes from `hostile` once in a while."""
    return st.integers(1, one_in).flatmap(lambda number: hostile if number == one_in else plain)


LINE_END = mostly(
    st.just(b"\r\n"),
    one_of(
        [
            b"\n",
            b"\r",
            b"\r\r\n",
            b"\n\r\n",
            b"\r\n ",
            b"\r\n\t",
            b"\r\n\r\n",
            b" \r\n",
            b"\t\r\n",
            b"",
            b"\x0b\r\n",
        ]
    ),
    one_in=60,
)

PLAIN_NAMES = [b"Accept", b"X-A", b"x-b", b"User-Agent", b"Cookie", b"A", b"X_Y", b"Range", b"If-Match"]
PLAIN_VALUES = [
    b"v",
    b"",
    b"a, b",
    b'"q\\"uoted"',
    b"\xc3\xa9",
    b"a b",
    b"a:b",
    b"\xff",
    b"1",
    b"*/*",
    b"a" * 70,
]
HOSTILE_NAMES = [
    *(
        b"",
        b" X-A",
        b"X A",
        b"X-A\x00",
        b"X-A\r",
        b"(X)",
        b"X-\xc3\xa9",
        b"X;A",
        b'"X"',
        b"X=A",
        b"\tX",
        b":X",
        b"X\x7f",
    ),
    *(b"Content-Length ", b"Content-Length\t", b" Content-Length", b"Content_Length"),
    *(b"Content-Length\x00",),
    *(
        b"Transfer-Encoding ",
        b"\x0bTransfer-Encoding",
        b"Transfer_Encoding",
        b"Transfer-Encoding\x0b",
        b"X\nHost",
    ),
]
HOSTILE_VALUES = [
    *(
        b"a\x00b",
        b"a\rb",
        b"a\nb",
        b"\x0bv",
        b"v\x0c",
        b"\x01",
        b"\x7f",
        b"\x1b[0m",
        b"a\r\n b",
        b"a\r\n\tb",
        b"\x85",
        b"\xa0",
    ),
    *(
        b"v\r\nInjected: 1",
        b"v\n\nGET /x HTTP/1.1\r\n\r\n",
        b"v\r\n\r\nGET /y HTTP/1.1\r\nHost: a.example\r\n\r\n",
    ),
]
SEPARATOR = mostly(
    st.just(b": "),
    one_of(
        [b":", b":\t", b":  \t ", b" : ", b"\t:", b" :", b"", b"=", b": \x0b", b":\r\n ", b"::", b": \x00"]
    ),
    one_in=30,
)
SPACE_BEHIND = mostly(
    st.just(b""), one_of([b" ", b"\t", b"  \t ", b"\x0b", b"\x0c", b"\x00", b"\r", b"\x85"]), one_in=30
)

LENGTHS = [
    *(
        b"+3",
        b"-0",
        b"-3",
        b"0x3",
        b"3,3",
        b"3, 3",
        b"3 3",
        b"03",
        b"3_0",
        b"3\x0b",
        b"",
        b" ",
        b"3;",
        b"3.0",
        b"1e1",
    ),
    *(
        b"18446744073709551615",
        b"18446744073709551616",
        b"18446744073709551619",
        b"9" * 40,
        b"\xb2",
        b'"3"',
        b"3,",
        b",3",
        b"3,4",
    ),
]
CODINGS = [
    *(
        b"identity",
        b"chunked, chunked",
        b"gzip, chunked",
        b"chunked, gzip",
        b"chunked, identity",
        b"identity, chunked",
    ),
    *(
        b"chunked;q=1",
        b"\x0bchunked",
        b"chunked\x00",
        b'"chunked"',
        b"chunked,",
        b",chunked",
        b"x",
        b"",
        b"xchunked",
    ),
    *(
        b"chunkedx",
        b"chunked\x0b",
        b"chun ked",
        b"chunked chunked",
        b"CHUNKED",
        b"chunked\r\n ",
        b"cow",
        b"chunked\xa0",
    ),
]
CONNECTIONS = [
    *(
        b"keep-alive",
        b"close",
        b"close, keep-alive",
        b"keep-alive, close",
        b"Close",
        b"x-a",
        b"upgrade",
        b"upgrade, close",
    ),
    *(
        b"content-length",
        b"transfer-encoding",
        b"host",
        b"close\x0b",
        b"clos",
        b"closed",
        b", close",
        b"close,",
        b'"close"',
    ),
]


def line(name: Bytes, value: Bytes) -> Bytes:
    """Return the strategy for one header line."""
    return st.tuples(name, SEPARATOR, value, SPACE_BEHIND, LINE_END).map(b"".join)


PLAIN_LINE = line(
    mostly(one_of(PLAIN_NAMES), one_of(HOSTILE_NAMES)), mostly(one_of(PLAIN_VALUES), one_of(HOSTILE_VALUES))
)
CONNECTION_LINE = line(one_of([b"Connection", b"connection"]), one_of(CONNECTIONS))
# Of another message than the one that is sent: the framing that an attacker adds.
EXTRA_FRAMING_LINE = st.one_of(
    line(one_of([b"Content-Length", b"content-length", b"Content_Length"]), one_of([b"0", b"3", *LENGTHS])),
    line(one_of([b"Transfer-Encoding", b"transfer-encoding"]), one_of([b"chunked", *CODINGS])),
)

BODY = st.one_of(
    one_of(
        [b"", b"abc", b"a", b"0\r\n\r\n", b"GET /in-body HTTP/1.1\r\nHost: a.example\r\n\r\n", b"\r\n", b"\n"]
    ),
    st.binary(max_size=40),
)

CHUNK_DATA = st.one_of(
    one_of([b"abc", b"a", b"\r\n", b"0\r\n\r\n", b"GET /in-body HTTP/1.1\r\n\r\n", b"\n"]),
    st.binary(min_size=1, max_size=20),
)
EXTENSION = mostly(
    st.just(b""),
    one_of(
        [
            *(b";a", b";a=b", b';a="b"', b" ;a", b"; a = b", b";", b";;", b'; a="\r\n"', b'; a="\n"'),
            *(b";a\n", b";a\r", b";\x00", b";=b"),
            *(b" ", b"\t", b"\x0b", b",", b"a;", b';a="b;c"', b';a="', b";\xff", b"\x00", b";a\r\nb"),
        ]
    ),
    one_in=12,
)
SIZE_SPELLINGS = [
    b"%x",
    b"%X",
    b"0%x",
    b"000000000000000000000%x",
    b"0x%x",
    b"+%x",
    b"-%x",
    b" %x",
    b"\t%x",
    b"%x_",
    b"1%x",
    b"\n%x",
]
TRAILER = st.one_of(
    line(one_of([b"X-T", b"ETag"]), one_of([b"v", b""])),
    line(
        one_of([b"Content-Length", b"Transfer-Encoding", b"Host", b"Authorization"]),
        one_of([b"3", b"chunked", b"x"]),
    ),
    PLAIN_LINE,
)


@st.composite
def chunks(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Return a body in chunks, and the bytes that it was meant to hold."""
    written, meant = [], []
    spelling = mostly(st.just(b"%x"), one_of(SIZE_SPELLINGS))
    for data in draw(st.lists(CHUNK_DATA, max_size=3)):
        meant.append(data)
        written += [draw(spelling) % len(data), draw(EXTENSION), draw(LINE_END), data, draw(LINE_END)]
    last = draw(mostly(st.just(b"0"), one_of([b"00", b"0" * 20, b"-0", b"0x0", b"", b" 0", b"0_0"])))
    trailers = draw(mostly(st.just([]), st.lists(TRAILER, min_size=1, max_size=3), one_in=6))  # type: ignore[arg-type]  # lists of lines
    written += [last, draw(EXTENSION), draw(LINE_END), *trailers, draw(LINE_END)]
    return b"".join(written), b"".join(meant)


@st.composite
def damaged(draw: st.DrawFn, message: Bytes) -> bytes:
    """Return bytes of `message`, now and then with a few of them changed, doubled or lost."""
    data = draw(message)
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(data)))
        junk = draw(
            st.one_of(
                st.binary(max_size=2),
                one_of([b"\r", b"\n", b" ", b"\t", b"\x00", b":", b"\x0b", b";", b"\r\n"]),
            )
        )
        lost = draw(st.sampled_from([0, 1, 2, 5]))
        data = data[:at] + junk + data[at + lost :]
    return data


@st.composite
def pieces_of(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Return `data` in pieces."""
    if draw(st.integers(0, 7)) == 7:
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
