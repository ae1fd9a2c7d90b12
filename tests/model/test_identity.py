from proxy.model.identity import Identity, IdentityKind

SECRET = "SECRET"


def identity() -> Identity:
    return Identity(
        issuer="gitlab",
        subject="mira",
        kind=IdentityKind.HUMAN,
        roles=frozenset({"b", "a"}),
        claims={"email": SECRET},
        audiences=frozenset({SECRET}),
        groups=None,
        session=SECRET,
        actor=None,
        expires_at=0.0,
        header_lines=SECRET.encode(),
        audit_fields=SECRET,
    )


def test_an_identity_is_printed_by_key_and_roles() -> None:
    assert repr(identity()) == "<Identity gitlab:mira human roles=['a', 'b']>"


def test_two_identities_are_equal_only_if_they_are_one() -> None:
    """An identity is a key of nothing: comparing one by value would compare subjects of two issuers."""
    assert identity() != identity()
