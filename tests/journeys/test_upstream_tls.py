"""Responses over TLS whose end is the end of the connection."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.local_proxy import LocalProxy, get
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True


@pytest.mark.parametrize("says_goodbye", [True, False])
async def test_a_response_that_ends_with_the_connection_is_whole_only_after_a_farewell(
    tmp_path: Path, says_goodbye: bool
) -> None:
    """Anybody in between can cut a connection; only the upstream can say within TLS that this is all."""
    authority = Authority(tmp_path)
    issued = authority.server("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate_file, issued.key_file)

    def serve() -> None:
        connection, _ = listener.accept()
        connection.settimeout(5)
        tls = context.wrap_socket(connection, server_side=True)
        tls.recv(65_536)
        tls.sendall(b"HTTP/1.1 200 OK\r\n\r\nas far as it g")
        if says_goodbye:
            tls.unwrap().close()
        else:
            socket.close(tls.detach())  # the end of TCP, in order, and nothing within TLS

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        settings = {"tls": {"ca_file": str(authority.ca_file), "server_name": "localhost"}}
        async with (
            LocalProxy(url, upstream=settings) as proxy,
            ScriptedClient(proxy.port) as client,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(asyncio.to_thread(serve))
            await client.send(get("/a"))
            if says_goodbye:
                assert (await client.read_response()).body == b"as far as it g"
            else:
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await client.read_response()
            await proxy.until_quiet()
            assert proxy.reasons[-1] == ("outcome", "completed" if says_goodbye else "upstream-reset")
