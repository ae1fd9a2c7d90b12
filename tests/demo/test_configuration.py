from pathlib import Path

from proxy.demo.configuration import write_configuration
from proxy.settings.load import load
from proxy.vetting import problems


def test_file_loads_without_problems_and_listens_on_loopback(tmp_path: Path) -> None:
    path = write_configuration(
        tmp_path,
        port=1,
        admin_port=2,
        issuer="http://127.0.0.1:3",
        upstream="http://127.0.0.1:4",
        audience="https://demo.example",
    )
    settings = load(path)
    assert problems(settings) == []
    assert str(settings.listen.address) == "127.0.0.1:1"
    assert (settings.admin.address.host, settings.admin.address.port) == ("127.0.0.1", 2)
    assert settings.audit.file == tmp_path / "audit.jsonl"
