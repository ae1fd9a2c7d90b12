"""
A path prefix exchanged on the way upstream, by whole segments.

Law: what goes upstream follows from the canonical target alone and is itself canonical: reading it
again changes nothing. A prefix goes segment by segment, so that no text of the request can become
part of the prefix that is put before it, and none can climb out of it.
"""

from proxy.model.route import Rewrite


def rewritten_target(rewrite: Rewrite, target: bytes) -> bytes:
    """Return what goes upstream for a canonical target, its query unchanged."""
    path, mark, query = target.partition(b"?")
    return _rewritten(rewrite, path) + mark + query


def rewritten_path(rewrite: Rewrite, path: str) -> str:
    """Return the path that goes upstream, as `rewritten_target` has it."""
    return _rewritten(rewrite, path.encode("ascii")).decode("ascii")


def _rewritten(rewrite: Rewrite, path: bytes) -> bytes:
    # `/a/b/c` is "", "a", "b", "c": the first part stands before the first slash. Segments are counted
    # and not compared: the route has matched them, in whichever spelling they came.
    rest = path.split(b"/", rewrite.segments + 1)[rewrite.segments + 1 :]
    prefix = rewrite.prefix.encode("ascii")
    return (prefix + b"/" + rest[0] if rest else prefix) or b"/"
