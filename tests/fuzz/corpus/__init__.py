"""The committed inputs of each harness, a file each: what it begins with, and what once was wrong."""

from pathlib import Path

CORPUS = Path(__file__).parent


def folder_of(name: str) -> Path:
    """Return the folder of the inputs of the harness called `name`."""
    return CORPUS / name


def corpus_of(name: str) -> list[tuple[str, bytes]]:
    """Return the inputs of the harness called `name`, each with the name of its file."""
    return [(path.name, path.read_bytes()) for path in sorted(folder_of(name).iterdir())]
