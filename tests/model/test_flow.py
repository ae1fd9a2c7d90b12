from proxy.model.flow import Flow
from tests.model.test_identity import identity
from tests.model.test_request import SECRET, request


def test_a_flow_is_printed_by_its_request() -> None:
    flow = Flow("0" * 32, "192.0.2.7", 0.0)
    assert repr(flow) == f"<Flow {'0' * 32} None status=0 completed>"
    flow.request, flow.identity = request(), identity()
    flow.claimed_target = SECRET.encode()
    assert repr(flow) == f"<Flow {'0' * 32} <Request GET a.example/b from 192.0.2.7> status=0 completed>"
