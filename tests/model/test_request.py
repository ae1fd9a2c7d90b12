from proxy.model.credential import Credential
from proxy.model.request import Request

SECRET = "SECRET"


def request() -> Request:
    return Request(
        method="GET",
        host="a.example",
        path="/b",
        authority=b"a.example:80",
        target=f"/b?token={SECRET}".encode(),
        has_encoded_slash=False,
        credential=Credential(SECRET.encode()),
        client="192.0.2.7",
    )


def test_a_request_is_printed_without_its_query() -> None:
    assert repr(request()) == "<Request GET a.example/b from 192.0.2.7>"
