"""The configuration of the demonstration, as a file that people can read, check and change."""

from pathlib import Path

_TEMPLATE = """\
# What `rolegate demo` runs with; it is gone when the demonstration ends.

listen: {{address: "127.0.0.1:{port}", timeouts: {{shutdown: 1s}}}}
admin:  {{address: "127.0.0.1:{admin_port}"}}
audit:  {{file: "{audit}", node: demo}}

issuers:
  gitlab:                                   # job tokens, keys found by discovery
    url: {gitlab}
    audiences: ["{audience}"]
    profile: gitlab-ci
    max_lifetime: 2h
  company:                                  # people and services
    url: {company}
    audiences: ["{audience}"]

roles:
  deployer:
    description: Jobs of the deploy project on its protected branch.
    bindings:
      - issuer: gitlab
        claims: {{project_id: "7301", ref_protected: "true"}}
  auditor:
    description: People who may look, and change nothing.
    bindings:
      - issuer: company
        groups: [auditors]

upstreams:
  sample: {{url: "{upstream}"}}

routes:
  - name: deployments
    match: {{paths: [/deployments/**]}}
    upstream: sample
    allow:                                  # nothing matches: denied
      - roles: [deployer]
      - roles: [auditor]
        methods: [GET]
    deny:                                   # asked first
      - paths: [/deployments/frozen/**]
  - name: status
    match: {{paths: [/status], methods: [GET]}}
    upstream: sample
    public: true
"""


def write_configuration(
    folder: Path, *, port: int, admin_port: int, issuer: str, upstream: str, audience: str
) -> Path:
    """Write the file into `folder` and return its path. `issuer` is the URL below which both issuers are."""
    path = folder / "rolegate.yaml"
    text = _TEMPLATE.format(
        port=port,
        admin_port=admin_port,
        audit=folder / "audit.jsonl",
        gitlab=f"{issuer}/gitlab",
        company=f"{issuer}/company",
        audience=audience,
        upstream=upstream,
    )
    path.write_text(text, encoding="utf-8")
    return path
