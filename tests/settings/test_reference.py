import re

from proxy.settings.reference import reference


def row(key: str) -> str:
    return next(line for line in reference().splitlines() if line.startswith(f"| `{key}` "))


def test_every_section_has_a_heading() -> None:
    assert re.findall(r"^## (.*)$", reference(), re.MULTILINE) == [
        *(
            "workers",
            "listen",
            "admin",
            "audit",
            "identity_headers",
            "token_cache",
            "issuers",
            "roles",
            "upstreams",
            "routes",
        )
    ]


def test_rows_say_type_default_and_meaning() -> None:
    assert row("listen.max_header_bytes").startswith(
        "| `listen.max_header_bytes` | size | `32KiB` | Bytes of "
    )
    assert row("issuers.<name>.url").startswith("| `issuers.<name>.url` | URL | **required** | The issuer")
    assert row("issuers.<name>.keys.timeout").startswith(
        "| `issuers.<name>.keys.timeout` | duration | `5s` |"
    )
    assert row("routes[].allow[].roles").startswith("| `routes[].allow[].roles` | list of name |  |")
    assert row("routes[].public").startswith("| `routes[].public` | true or false | `false` |")
    assert row("roles.<name>.bindings[].claims").split(" | ")[1] == "claim: matcher"
    assert "`[RS256, ES256, EdDSA]`" in row("issuers.<name>.algorithms")
    assert "`gitlab-ci`" in row("issuers.<name>.profile")


def test_every_row_has_four_cells() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| ")]
    assert len(rows) > 70
    assert all(len(re.split(r"(?<!\\)\|", line)) == 6 for line in rows)


def test_text_ends_in_one_line_end() -> None:
    assert reference().endswith("|\n")
