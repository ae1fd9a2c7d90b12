from proxy.model.credential import Credential


def test_a_credential_is_printed_by_its_length() -> None:
    assert repr(Credential(b"x" * 1400)) == "<Credential bearer, 1400 bytes>"
    assert str([Credential(b"SECRET")]) == "[<Credential bearer, 6 bytes>]"
