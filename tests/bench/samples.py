"""Samples as tests write them."""

from tests.bench.load import Sample


def sample(
    *, cpu_us: float = 50.0, per_s: float = 1000.0, p99_ms: float = 2.0, resident: int = 2**20
) -> Sample:
    """Return one in which nothing else matters."""
    return Sample(
        requests_per_s=per_s,
        proxy_cpu_us=cpu_us,
        upstream_cpu_us=10.0,
        p50_ms=1.0,
        p99_ms=p99_ms,
        resident_bytes=resident,
        busy=0.5,
    )
