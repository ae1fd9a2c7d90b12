"""
W3C Trace Context: which trace a request belongs to (`traceparent`, level 2).

Law: an inbound header is continued only if it is whole and alone; otherwise it is ignored together
with its `tracestate`, and a new trace begins.
"""

import re
from typing import Final

# Version 00 is exactly four fields. A higher version may add some behind a `-`; its first four are
# read as ours. Version ff does not exist.
_TRACEPARENT: Final = re.compile(
    rb"(?:(00)|(?!00|ff)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]([0-9a-f])"
    rb"(?(1)|(?:-.*+)?)",
    re.DOTALL,
).fullmatch

# Only `sampled` (1) and `random` (2) are defined; any other bit is not ours to promise.
_KNOWN_FLAGS: Final = {b"%x" % digit: b"0%d" % (digit & 3) for digit in range(16)}
_NEW_FLAGS: Final = "02"  # the ids are random, and nobody has asked for a sample yet


def continue_trace(values: list[bytes], trace_id: str, span_id: str) -> tuple[bytes, bool]:
    """
    Return the `traceparent` to send upstream, and whether the inbound `tracestate` may go with it.

    `values` are all inbound `traceparent` values. `span_id` (16 hex digits) becomes the parent;
    `trace_id` (32) is used where no trace is continued. Both are random and come from the caller.
    """
    if len(values) == 1:
        match = _TRACEPARENT(values[0].strip(b" \t"))
        if match is not None:
            return b"00-%b-%b-%b" % (match[2], span_id.encode("ascii"), _KNOWN_FLAGS[match[3]]), True
    return f"00-{trace_id}-{span_id}-{_NEW_FLAGS}".encode("ascii"), False
