"""A file system of a test's own, small enough to fill up; real mounts, and so for root only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(path: Path, size: str = "64k") -> Iterator[bool]:
    """Mount a tmpfs of `size` at `path`; False where that is not permitted."""
    path.mkdir(exist_ok=True)
    is_mounted = _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(path))
    try:
        yield is_mounted
    finally:
        if is_mounted:
            _run("umount", "-l", str(path))


def remount(path: Path, mode: str) -> bool:
    """Make the file system at `path` read-only (`ro`) or writable (`rw`)."""
    return _run("mount", "-o", f"remount,{mode}", str(path))


def fill(path: Path, *, leave: int = 0) -> Path:
    """Write a file next to `path` until the disk is full, then give back `leave` bytes; return the file."""
    ballast = path.with_name("ballast")
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 512):
                pass
        except OSError:
            pass
        os.ftruncate(file.fileno(), max(0, file.tell() - leave))
    return ballast


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
