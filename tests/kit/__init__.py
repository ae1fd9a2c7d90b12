"""
What tests are built from: real components, started on loopback and ended again.

- `processes`, `ports`, `programs`: start a program, wait for it, end it; find out whether it is there.
- `issuer`, `nginx`, `prometheus`, `rolegate`: an OIDC provider, an upstream, a scraper, the proxy itself.
- `recorder`, `scripted`: an upstream and a client that speak in raw bytes.
- `clock`: the time, as the test says it is.
"""
