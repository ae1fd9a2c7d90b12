"""
Whom we believe when we connect to a server by TLS: the authorities of a file, or those of the system.

Law: a server is always verified, by its certificate and by its name. Which of its authorities the system
trusts is never more than its own bundle and directory say.

OpenSSL reads a bundle of authorities whole: some 150 certificates, 50 ms and a megabyte for each context.
From a directory in which each file is named by the hash of its subject it reads the one that it needs,
when it needs it. Where that directory holds all that the bundle has, it is enough.
"""

import os
import re
import ssl
from functools import cache
from pathlib import Path
from typing import Final

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a new context that believes the authorities of a file, or the system's; raises OSError."""
    if ca_file is not None:
        return ssl.create_default_context(cafile=ca_file)
    paths = ssl.get_default_verify_paths()
    directory = hashed_directory(paths.cafile, paths.capath)
    return ssl.create_default_context(capath=directory)  # None stands for all that the system has


@cache
def hashed_directory(bundle: str | None, directory: str | None) -> str | None:
    """Return the directory if its hashed files hold every certificate of the bundle, else None."""
    if directory is None:
        return None
    try:
        wanted = set() if bundle is None else _certificates(bundle)
        found: set[bytes] = set()
        with os.scandir(directory) as entries:
            for entry in entries:
                if _HASHED.fullmatch(entry.name):
                    found |= _certificates(entry.path)
    except OSError:
        return None
    return directory if found and wanted <= found else None


def _certificates(path: str) -> set[bytes]:
    """Return what stands between the lines that begin and end a certificate, without its line breaks."""
    found = set()
    for piece in Path(path).read_bytes().split(b"-----BEGIN ")[1:]:
        label, _, rest = piece.partition(b"-----")
        if label.endswith(b"CERTIFICATE"):
            found.add(b"".join(rest.partition(b"-----END")[0].split()))
    return found
