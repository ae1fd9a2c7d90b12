"""
The JSON Schema of the configuration (draft 2020-12), for editors and for checks in CI.

It describes shapes and spellings. What relates one key to another (references, what may stand
together) is beyond it: `rolegate check` knows that too.
"""

import json

from proxy.settings.schema import Settings

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, object]:
    """Return the schema."""
    schema: dict[str, object] = Settings.model_json_schema(mode="validation")
    return {"$schema": _DIALECT, "title": "rolegate configuration", **_without_titles(schema)}


def json_schema_text() -> str:
    """Return the schema as it stands in `rolegate.schema.json`."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _without_titles(schema: dict[str, object]) -> dict[str, object]:
    """Return `schema` without the titles that pydantic derives from names; a key called title stays."""
    return {
        name: {key: _cleaned(value) for key, value in member.items()}
        if name in ("properties", "$defs") and isinstance(member, dict)
        else _cleaned(member)
        for name, member in schema.items()
        if name != "title"
    }


def _cleaned(value: object) -> object:
    if isinstance(value, dict):
        return _without_titles(value)
    return [_cleaned(item) for item in value] if isinstance(value, list) else value
