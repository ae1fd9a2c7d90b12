import subprocess
import sys
from pathlib import Path

import pytest

from proxy.errors import IssuerError
from proxy.identify.loading import LoadedFetch
from tests.identify.tokens import Signer, jwks
from tests.kit.ports import LOOPBACK, free_port

PROGRAM = """
import sys
from pathlib import Path
from proxy.assemble import Proxy
from proxy.settings.load import load
Proxy(load(Path(sys.argv[1]))).prepare()
print("aiohttp" in sys.modules)
"""


async def test_it_fetches_and_fails_as_the_client_does() -> None:
    fetch = LoadedFetch()
    await fetch.close()  # nothing is there to close
    with pytest.raises(IssuerError, match="cannot be fetched"):
        await fetch(f"http://{LOOPBACK}:{free_port()}/", timeout_s=5, max_bytes=10, ca_file=None)
    await fetch.close()


@pytest.mark.parametrize(("source", "is_loaded"), [("jwks_file: keys.json", False), ("required: true", True)])
def test_the_client_is_loaded_only_where_keys_are_fetched(
    tmp_path: Path, source: str, is_loaded: bool
) -> None:
    (tmp_path / "keys.json").write_bytes(jwks(Signer().jwk()))
    path = tmp_path / "rolegate.yaml"
    path.write_text(
        f"""
audit: {{file: {tmp_path / "audit.jsonl"}}}
issuers:
  corp:
    url: https://login.example.com
    audiences: [api]
    {source.replace("keys.json", str(tmp_path / "keys.json"))}
upstreams:
  api: {{url: "http://127.0.0.1:9"}}
routes:
  - {{name: api, match: {{paths: [/**]}}, upstream: api, public: true}}
"""
    )
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout.strip() == str(is_loaded), run.stderr
