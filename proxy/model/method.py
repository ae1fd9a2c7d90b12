"""Request methods: which a route takes without naming them, and which can be read at all."""

from typing import Final

COMMON_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""What a route takes that names no methods: what applications expect, and nothing they never heard of."""

READABLE_METHODS: Final = COMMON_METHODS | frozenset(
    {
        *("ACL", "BIND", "CHECKOUT", "COPY", "LINK", "LOCK", "M-SEARCH", "MERGE", "MKACTIVITY", "MKCALENDAR"),
        *("MKCOL", "MOVE", "NOTIFY", "PROPFIND", "PROPPATCH", "PURGE", "QUERY", "REBIND", "REPORT", "SEARCH"),
        *("SOURCE", "SUBSCRIBE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE"),
    }
)
"""What llhttp reads and we forward: all that it knows of HTTP but CONNECT and TRACE."""
