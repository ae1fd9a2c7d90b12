"""How a response is refused in the middle of reading it, and how its end is told."""

import logging
from typing import Final

from proxy.errors import RequestError
from proxy.forward.interfaces import Receiver
from proxy.model.decision import Reason

log: Final = logging.getLogger("rolegate.forward")


class ResponseRefused(Exception):  # noqa: N818 - it stops the parser, it is no error
    """The upstream's response is not one that we pass on; raised inside the parser's callbacks only."""


# What stops the parser because of the upstream's bytes; anything else is a fault of ours.
REFUSALS: Final = (ResponseRefused, RequestError)


def tell_end(receiver: Receiver) -> bool:
    """Tell the receiver that its response is complete; False if it could not do its part."""
    try:
        receiver.response_end()
    except Exception:
        # The boundary of the request: nobody else would tell its client, and nobody else is to suffer.
        log.exception("ending a response failed")
        receiver.response_failed(Reason.INTERNAL_ERROR)
        return False
    return True
