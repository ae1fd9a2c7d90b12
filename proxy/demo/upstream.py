"""A sample upstream: answers with what of the request reached it, above all who it was told is asking."""

import json

from aiohttp import web

from proxy.demo.loopback import Server

_PREFIX = "x-rolegate-"
_MAX_BODY_BYTES = 1024**2


class SampleUpstream(Server):
    """Takes any request."""

    def __init__(self) -> None:
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", _answer)
        super().__init__(application)


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    told = {name: value for name, value in request.headers.items() if name.lower().startswith(_PREFIX)}
    seen = {
        "method": request.method,
        "path": request.raw_path,
        "told by rolegate": told,
        "authorization": "received" if "Authorization" in request.headers else "not received",
    }
    return web.Response(text=json.dumps(seen, indent=2) + "\n", content_type="application/json")
