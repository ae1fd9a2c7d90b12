"""
One file or a folder of files becomes one tree.

In a folder every `*.yaml`, `*.yml` and `*.json` counts, in the order of names; hidden files and
folders inside do not. `issuers`, `roles`, `rate_limits`, `upstreams` and `routes` gather what all
files say. Any other section stands in one file. What is defined in two files is an error that names
both, since which file wins must not depend on how it is called.
"""

from collections.abc import Sequence
from pathlib import Path

from proxy.settings.document import MAX_FILE_BYTES, Entry, Listing, Node, Table, compose
from proxy.settings.problem import Collector, Place, Problem, SettingsError, printable

MAX_FILES = 256

_SUFFIXES = (".yaml", ".yml", ".json")
_NAMED = ("issuers", "roles", "rate_limits", "upstreams")


def config_files(path: Path) -> list[Path]:
    """Return the files that the configuration at `path` consists of; raise `SettingsError` for none."""
    if not path.is_dir():
        return [path]
    try:
        found = sorted(
            file
            for file in path.iterdir()
            if file.suffix in _SUFFIXES and not file.name.startswith(".") and not file.is_dir()
        )
    except OSError as error:
        raise _unreadable(path, error) from None
    if not found:
        raise _unusable(path, "expected `*.yaml`, `*.yml` or `*.json` files, got none")
    if len(found) > MAX_FILES:
        raise _unusable(path, f"expected at most {MAX_FILES} files, got {len(found)}")
    return found


def read_all(files: Sequence[Path]) -> list[Node]:
    """Return the document of each file; raise `SettingsError` with all failures to read one."""
    documents: list[Node] = []
    failures: list[Problem] = []
    for file in files:
        try:
            documents.append(compose(_content(file), str(file)))
        except SettingsError as error:
            failures.extend(error.problems)
    if failures:
        raise SettingsError(failures)
    return documents


def merge(documents: Sequence[Node], problems: Collector) -> Table:
    """Return one tree with the sections of all documents, whose scalars are resolved."""
    merged = Table(documents[0].place)
    for document in documents:
        if not isinstance(document, Table):
            what = "a list" if isinstance(document, Listing) else "a single value"
            problems.add(document.place, "", f"expected a mapping of sections such as `routes`, got {what}")
            continue
        for name, entry in document.entries.items():
            first = merged.entries.setdefault(name, entry)
            if first is not entry:
                merged.entries[name] = _joined(name, first, entry, problems)
    return merged


def _joined(name: str, first: Entry, second: Entry, problems: Collector) -> Entry:
    """Return an entry with what both say; nodes are copied, for an alias may share them."""
    one, other = first.node, second.node
    if name in _NAMED and isinstance(one, Table) and isinstance(other, Table):
        table = Table(one.place, entries=dict(one.entries))
        for key, entry in other.entries.items():
            if key in table.entries:
                _complain(entry.place, f"{name}.{key}", table.entries[key].place, problems)
            else:
                table.entries[key] = entry
        return Entry(first.place, table)
    if name == "routes" and isinstance(one, Listing) and isinstance(other, Listing):
        return Entry(first.place, Listing(one.place, items=[*one.items, *other.items]))
    if name in _NAMED or name == "routes":
        kind: type[Table | Listing] = Listing if name == "routes" else Table
        # The section that has the wrong shape is the one to complain about.
        wrong = second if isinstance(one, kind) else first
        shape = "a list" if name == "routes" else "a mapping"
        problems.add(wrong.place, name, f"expected {shape}, as in the other files")
        return first if wrong is second else second
    _complain(second.place, name, first.place, problems)
    return first


def _complain(place: Place, key: str, first: Place, problems: Collector) -> None:
    problems.add(place, printable(key), f"defined twice, first at {first}")


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(path: Path, error: OSError) -> SettingsError:
    return _unusable(path, f"cannot be read: {(error.strerror or 'unknown cause').lower()}")


def _unusable(path: Path, message: str) -> SettingsError:
    return SettingsError([Problem(str(path), "", message)])
