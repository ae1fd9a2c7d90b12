from pathlib import Path

from proxy.forward.faults import faults
from proxy.model.upstream import Endpoint, Tls
from proxy.settings.origins import METADATA_NETWORKS
from tests.forward.test_pool import an_upstream


def test_an_address_that_is_denied_is_a_fault_a_name_is_not_yet() -> None:
    endpoints = (Endpoint(host="169.254.169.254", port=80), Endpoint(host="a.example", port=80))
    (fault,) = faults(an_upstream(endpoints=endpoints, denied_networks=METADATA_NETWORKS))
    assert fault.startswith("endpoint `169.254.169.254:80` is in a denied network")
    assert list(faults(an_upstream(endpoints=endpoints))) == []
    assert list(faults(an_upstream(endpoints=(Endpoint(path="/run/a.sock"),)))) == []


def test_tls_files_count_only_where_tls_is_spoken() -> None:
    tls = Tls(ca_file=Path("/nonexistent.pem"))
    spoken = an_upstream(endpoints=(Endpoint(host="a.example", port=443, is_tls=True),), tls=tls)
    assert len(list(faults(spoken))) == 1
    assert list(faults(an_upstream(1, tls=tls))) == []
