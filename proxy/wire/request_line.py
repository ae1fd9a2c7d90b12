"""
The request line in its one form: `method SP target SP HTTP/version` (RFC 9112 section 3).

Law: llhttp takes several spaces, and `RTSP/1.0` or `ICE/1.0` for `HTTP/1.0`; the hop before us may
have read another request there, so a line that is not plain is refused.
"""


def is_plain(
    received: bytes | bytearray, method: bytes, target: bytes, version: str, *, is_first: bool
) -> bool:
    """
    Whether the request that llhttp read as these three parts began with the plain line.

    `received` holds the whole line; `is_first` says that nothing but empty lines comes before it there.
    Behind other requests the place of the line is not known: then nothing in `received` may look like
    another spelling of it, because a header or a body can hold the plain one.
    """
    line = b"%b %b HTTP/%b\r\n" % (method, target, version.encode())
    if is_first and received.startswith(line):
        return True
    if is_first:
        return received.lstrip(b"\r\n").startswith(line)
    strange = (method + b"  ", target + b"  ", target + b" RTSP/", target + b" ICE/")
    return line in received and not any(spelling in received for spelling in strange)
