from proxy.authorize.finding import Finding, error, warning


def test_finding_says_how_bad_and_where() -> None:
    path = ("roles", "deployer", "bindings", 0)
    assert error(path, "m") == Finding(severity="error", path=path, message="m")
    assert warning(path, "m") == Finding(severity="warning", path=path, message="m")
