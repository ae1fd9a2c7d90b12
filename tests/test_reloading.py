"""Reading again, and what may come of it; tests/journeys/test_reload.py shows it with requests."""

import asyncio
from pathlib import Path

import pytest
import yaml

from proxy.errors import ConfigurationError
from proxy.record.policy_metrics import ReloadCounts
from proxy.reloading import Reloading, settle
from proxy.settings.load import load
from proxy.settings.schema import Settings
from tests.kit.local_proxy import until
from tests.test_assemble import settings_of


class Applied:
    """Takes settings, or refuses them."""

    def __init__(self) -> None:
        self.settings: list[Settings] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, settings: Settings) -> None:
        self.settings.append(settings)
        await self.gate.wait()
        if self.error is not None:
            raise self.error


class Scene:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "rolegate.yaml"
        self.applied = Applied()
        self.counts = ReloadCounts()
        self.reloading = Reloading(self.path, settings_of(folder), self.applied, self.counts)

    def change(self, **keys: object) -> None:
        self.path.write_text(yaml.safe_dump({**yaml.safe_load(self.path.read_text()), **keys}))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_what_is_written_is_applied_and_counted(scene: Scene) -> None:
    scene.change(token_cache={"max_entries": 7})
    assert await scene.reloading.reload()
    assert scene.applied.settings[0].token_cache.max_entries == 7
    assert (scene.counts.succeeded, scene.counts.failed) == (1, 0)


async def test_what_cannot_be_read_is_not_applied(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.change(issuers={}, tokencache={})
    assert not await scene.reloading.reload()
    assert scene.applied.settings == []
    assert (scene.counts.succeeded, scene.counts.failed) == (0, 1)
    causes = [message for message in caplog.messages if message.startswith("reload: ")]
    assert len(causes) == 2
    assert all(cause.startswith(f"reload: {scene.path}:") for cause in causes)


@pytest.mark.parametrize("error", [ConfigurationError("no\nkeys"), ZeroDivisionError()])
async def test_what_cannot_be_applied_is_a_failure(
    scene: Scene, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    scene.applied.error = error
    assert not await scene.reloading.reload()
    assert (scene.counts.succeeded, scene.counts.failed) == (0, 1)
    if isinstance(error, ConfigurationError):
        assert caplog.messages[1:] == ["reload: no", "reload: keys"]
    scene.applied.error = None
    assert await scene.reloading.reload()


async def test_who_asks_meanwhile_gets_another_one_and_all_who_do_the_same(scene: Scene) -> None:
    scene.applied.gate.clear()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(scene.reloading.run())
        scene.reloading.ask()
        await until(lambda: len(scene.applied.settings) == 1, what="the first")
        for _ in range(5):
            scene.reloading.ask()
        scene.applied.gate.set()
        await until(lambda: scene.counts.succeeded == 2, what="the second")
        await asyncio.sleep(0.05)
        assert len(scene.applied.settings) == 2
        running.cancel()


def test_what_is_opened_once_stays_and_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = settings_of(tmp_path)
    document = yaml.safe_load((tmp_path / "rolegate.yaml").read_text())
    document["listen"] = {"address": "127.0.0.1:7", "max_connections": 3}
    document["audit"] = {"file": "other.jsonl"}
    document["workers"] = "auto"
    (tmp_path / "rolegate.yaml").write_text(yaml.safe_dump(document))
    new = settle(old, load(tmp_path / "rolegate.yaml"))
    assert new.listen.address == old.listen.address
    assert new.listen.max_connections == 3
    assert (new.audit, new.workers) == (old.audit, 1)
    named = [message.partition(": ")[2] for message in caplog.messages]
    assert [name.partition(": ")[2] for name in named] == [
        "`workers` changes only by a restart",
        "`listen.address` changes only by a restart",
        "`audit` changes only by a restart",
    ]


def test_settings_that_are_the_same_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = settings_of(tmp_path)
    new = load(tmp_path / "rolegate.yaml")
    assert settle(old, new) is new
    assert caplog.messages == []
