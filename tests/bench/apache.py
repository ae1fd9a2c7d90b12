"""Apache httpd as a contestant."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.bench.credentials import AUDIENCE, ISSUER, PROJECT
from tests.bench.peer import Peer
from tests.kit.ports import LOOPBACK
from tests.kit.programs import program

MODULES = Path("/usr/lib/apache2/modules")
LOADED = ("mpm_event", "authn_core", "authz_core", "proxy", "proxy_http", "oauth2")

# One process; its threads run on one core, and each busy connection needs one. The cache of tokens is
# searched from end to end, so that fewer places than the 1,000 it has by default make it quicker here.
CONFIG = """
{modules}
ServerName localhost
ServerRoot {folder}
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
LogLevel crit
User www-data
Group www-data
Listen {address}:{port}
ListenBacklog 4096
ServerLimit 1
StartServers 1
ThreadLimit 256
ThreadsPerChild 256
MaxRequestWorkers 256
AsyncRequestWorkerFactor 100
KeepAlive On
KeepAliveTimeout 600
MaxKeepAliveRequests 0
Timeout 60
OAuth2Cache shm "max_entries=100"
ProxyPass /api/ http://{address}:{upstream_port}/api/ keepalive=On upgrade=websocket
<Location /api/>
    AuthType oauth2
    OAuth2TokenVerify jwk "{jwk}" verify.exp=required&verify.iat=skip
    <RequireAll>
        Require oauth2_claim iss:{issuer}
        Require oauth2_claim aud:{audience}
        Require oauth2_claim project_id:{project}
        Require oauth2_claim ref_protected:true
    </RequireAll>
</Location>
"""


class Apache(Peer):
    """Apache with `mod_oauth2`, its cache of verified tokens, and `Require` on the claims."""

    name = "apache"

    def prepare(self) -> Sequence[str]:
        """Write the configuration."""
        missing = [name for name in LOADED if not (MODULES / f"mod_{name}.so").exists()]
        if missing:
            raise FileNotFoundError(f"Apache's modules {', '.join(missing)} are not installed")
        path = self.folder / "apache.conf"
        path.write_text(self._config())
        return [program("apache2"), "-DFOREGROUND", "-f", str(path)]

    def _config(self) -> str:
        (key,) = json.loads(self.credentials.jwks)["keys"]
        return CONFIG.format(
            modules="\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in LOADED),
            folder=self.folder,
            address=LOOPBACK,
            port=self.port,
            upstream_port=self.upstream_port,
            jwk=json.dumps(key).replace('"', '\\"'),
            issuer=ISSUER,
            audience=AUDIENCE,
            project=PROJECT,
        )
