"""The proxy on the test's own event loop leaves nothing behind, whatever became of it."""

import pytest

from proxy.errors import ConfigurationError
from tests.kit.local_proxy import LocalProxy
from tests.kit.ports import answers
from tests.kit.recorder import RecordingUpstream

NOWHERE = "http://127.0.0.1:9"


async def test_the_folder_goes_with_the_proxy() -> None:
    async with LocalProxy(NOWHERE) as proxy:
        assert proxy.audit_path.exists()
    assert not proxy.folder.exists()


@pytest.mark.parametrize(
    "changes", [{"lissten": {}}, {"roles": {}}], ids=["does not load", "has no such role"]
)
async def test_a_configuration_that_does_not_load_leaves_no_folder(changes: dict[str, object]) -> None:
    proxy = LocalProxy(NOWHERE)
    proxy.configuration |= changes
    with pytest.raises(ConfigurationError):
        await proxy.start()
    assert not proxy.folder.exists()


async def test_a_proxy_that_cannot_be_put_together_leaves_no_folder() -> None:
    proxy = LocalProxy("http://169.254.169.254")  # denied, which shows when settings have become parts
    with pytest.raises(ConfigurationError):
        await proxy.start()
    assert not proxy.folder.exists()


async def test_a_port_that_is_taken_leaves_no_folder() -> None:
    async with RecordingUpstream() as other:
        proxy = LocalProxy(NOWHERE, listen={"address": f"127.0.0.1:{other.port}"})
        with pytest.raises(ConfigurationError):
            await proxy.start()
    assert not proxy.folder.exists()


async def test_a_proxy_that_does_not_become_ready_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def give_up(*_: object, **__: object) -> None:
        raise TimeoutError

    proxy = LocalProxy(NOWHERE)
    monkeypatch.setattr("tests.kit.local_proxy.until", give_up)
    with pytest.raises(TimeoutError):
        await proxy.start()
    assert not answers(proxy.port)
    assert not proxy.folder.exists()
