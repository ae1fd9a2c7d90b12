"""
The shape of the code base, as a table of who may know whom.

A line that has to change here is a decision about the architecture: it belongs in `proxy/DECISIONS.md`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROXY = ROOT / "proxy"
TESTS = ROOT / "tests"

STEPS = {"accept", "identify", "authorize", "forward", "record"}

# Every part of the proxy, a package or a module of its top level, and the other parts it may import.
KNOWN_TO_STEPS = {"errors", "model", "resetting", "tasks", "wire"}
MAY_IMPORT: dict[str, set[str]] = {
    # Pure, or without any knowledge of the rest.
    "model": set(),
    "errors": {"model"},
    "tasks": set(),
    "asking": set(),
    "ids": set(),
    "build": {"ids"},
    "resetting": set(),
    "diagnostics": set(),
    "wire": {"errors", "model"},
    "authorize": {"errors", "model", "wire"},
    "limit": {"model"},
    # The steps know nouns and HTTP, and never each other.
    "accept": KNOWN_TO_STEPS,
    "identify": KNOWN_TO_STEPS | {"asking"},
    "forward": KNOWN_TO_STEPS,
    "record": KNOWN_TO_STEPS,
    # The way of one request, in words of its own: pipeline, gate, live.
    "interfaces": {"model", "wire"},
    "live": {"interfaces", "model", "wire"},
    "gate": {"live", "model"},
    "reply": {"interfaces", "model", "wire"},
    "tunnel": {"model", "resetting"},
    "streams": {"model", "tunnel"},
    "environment": {"ids", "interfaces", "live", "model", "streams", "tasks", "wire"},
    "outgoing": {"environment", "interfaces", "live", "model", "wire"},
    "ending": {"environment", "interfaces", "live", "model", "outgoing", "reply", "tunnel", "wire"},
    "switching": {"ending", "interfaces", "model", "streams", "tunnel", "wire"},
    "relaying": {"interfaces", "model", "outgoing", "switching", "wire"},
    "pipeline": {
        *("ending", "environment", "errors", "gate", "interfaces", "live", "model", "outgoing", "relaying"),
        "wire",
    },
    # What an operator writes and reads.
    "settings": {"errors", "model"},
    "control": {"errors", "model", "tasks"},
    # Those who put it together.
    "administration": {"accept", "control", "model", "tasks", "wire"},
    "gauges": {"accept", "build", "forward", "identify", "limit", "model", "record", "streams"},
    "assemble": {
        *("accept", "authorize", "control", "forward", "identify", "limit", "record", "settings"),
        *("environment", "errors", "gauges", "listening", "live", "model", "pipeline", "seat", "succession"),
        *("administration", "tasks", "vetting", "wire"),
    },
    "listening": {"accept", "errors", "settings"},
    "vetting": {"authorize", "errors", "forward", "identify", "listening", "settings"},
    "seat": set(),
    "notify": set(),
    "open_files": {"settings"},
    "succession": {"live", "model"},
    "reloading": {"errors", "notify", "record", "settings", "vetting"},
    "serving": {"assemble", "errors", "notify", "reloading", "settings", "tasks"},
    # Several of the above, each in a process of its own.
    "workers": {
        *(
            "administration",
            "asking",
            "assemble",
            "control",
            "diagnostics",
            "errors",
            "limit",
            "listening",
            "notify",
        ),
        *("record", "reloading", "seat", "serving", "settings", "tasks"),
    },
    # A question put to the very parts that would decide it; and a token looked at without any key.
    "rehearsal": {
        *("assemble", "authorize", "errors", "gate", "live", "model", "settings", "vetting", "wire"),
    },
    "inspection": {"errors", "identify", "model", "settings"},
    "demo": {"assemble", "errors", "model", "serving", "settings", "tasks", "vetting", "wire"},
    "cli": {
        *("assemble", "authorize", "build", "demo", "diagnostics", "identify", "serving", "settings"),
        *("errors", "inspection", "model", "open_files", "rehearsal", "vetting", "workers"),
    },
}

PURE = ("model", "wire", "authorize")
WHAT_WAITS = {"asyncio", "aiohttp", "socket", "ssl", "time", "logging", "sqlite3", "random", "os"}

# Concrete implementations of an interface: nobody names one but their own package and `assemble`.
CONCRETE = ("proxy.record.sinks", "proxy.identify.profiles")

NAMES_WITHOUT_A_JOB = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "base", "misc"}

MAX_LINES = 400

# Modules with logic that have no test module of their own, and why that is right.
ONE_TABLE = "one table asks the same questions of every profile: tests/identify/profiles/test_profiles.py"
ONE_EXCHANGE = "one class in three parts, which only a whole request shows: tests/test_pipeline.py"
TESTED_ELSEWHERE = {
    "proxy/ending.py": ONE_EXCHANGE,
    "proxy/relaying.py": ONE_EXCHANGE,
    "proxy/vetting.py": "what it finds is what stops a proxy from being built: tests/test_assemble.py",
    "proxy/accept/patience.py": "a part of the connection: tests/journeys/test_slow_clients.py",
    "proxy/switching.py": ONE_EXCHANGE,
    "proxy/forward/reading.py": "it reads for the connection: tests/forward/test_connection.py",
    "proxy/identify/keyring.py": "it holds the keys of the issuers together: tests/identify/test_keys.py",
    "proxy/identify/profiles/generic.py": ONE_TABLE,
    "proxy/identify/profiles/github_actions.py": ONE_TABLE,
    "proxy/identify/profiles/gitlab_ci.py": ONE_TABLE,
    "proxy/identify/profiles/interfaces.py": ONE_TABLE,
    "proxy/identify/profiles/keycloak.py": ONE_TABLE,
    "proxy/identify/profiles/kubernetes.py": ONE_TABLE,
}


def modules() -> list[Path]:
    return sorted(PROXY.rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def part_of(path: Path) -> str:
    """Return the part of the proxy that a module belongs to, '' for the package itself."""
    first = path.relative_to(PROXY).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything a module imports, wherever in it."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from proxy.x import y` may import the module `proxy.x.y`.
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def parts_imported(path: Path) -> set[str]:
    names = [name.split(".") for name in imports(path)]
    return {name[1] for name in names if name[0] == "proxy" and len(name) > 1} - {
        part_of(path),
        "__version__",
    }


def test_the_table_names_every_part_and_no_other() -> None:
    assert {part_of(path) for path in modules()} - {""} == MAY_IMPORT.keys()


def test_parts_know_only_those_the_table_names() -> None:
    strangers = {
        named(path): unknown
        for path in modules()
        if (unknown := parts_imported(path) - MAY_IMPORT.get(part_of(path), set()))
    }
    assert strangers == {}


def test_nobody_is_known_in_a_circle() -> None:
    settled: set[str] = set()
    while remaining := MAY_IMPORT.keys() - settled:
        free = {part for part in remaining if MAY_IMPORT[part] <= settled}
        assert free, f"these know each other: {sorted(remaining)}"
        settled |= free


def test_steps_do_not_know_each_other() -> None:
    assert [step for step in STEPS if MAY_IMPORT[step] & STEPS] == []


def test_imports_are_absolute() -> None:
    assert [named(path) for path in modules() if any(name.startswith(".") for name in imports(path))] == []


def test_what_can_be_decided_from_its_arguments_imports_nothing_that_waits() -> None:
    waiting = {
        named(path): names
        for path in modules()
        if part_of(path) in PURE and (names := {name.split(".")[0] for name in imports(path)} & WHAT_WAITS)
    }
    assert waiting == {}


def test_implementations_are_named_by_their_own_package_and_by_who_puts_together_alone() -> None:
    strangers = [
        f"{named(path)} imports {name}"
        for path in modules()
        if part_of(path) not in ("assemble", "vetting")
        for name in imports(path)
        for package in CONCRETE
        if name.startswith(f"{package}.") and not dotted(path).startswith(package)
        if not name.startswith(f"{package}.interfaces.")
    ]
    assert strangers == []


def test_background_tasks_have_an_owner() -> None:
    unowned = [
        f"{named(path)}:{node.lineno}"
        for path in modules()
        if part_of(path) != "tasks"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in ("create_task", "ensure_future")
    ]
    assert unowned == []


def test_modules_say_what_they_promise() -> None:
    assert [named(path) for path in modules() if not ast.get_docstring(tree_of(path))] == []


def test_modules_stay_small() -> None:
    lines = {named(path): len(path.read_text().splitlines()) for path in modules()}
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


def test_modules_are_named_after_their_job() -> None:
    words = {named(path): set(dotted(path).replace("_", ".").split(".")) for path in modules()}
    assert [name for name, parts in words.items() if parts & NAMES_WITHOUT_A_JOB] == []


def has_logic(path: Path) -> bool:
    """Say whether a module holds a function that does more than to keep values or to show them."""
    functions = (
        node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return any(
        function.name not in ("__init__", "__repr__") and not is_stub(function) for function in functions
    )


def is_stub(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return all(isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) for line in function.body)


def has_test_module(path: Path) -> bool:
    folder = TESTS / path.relative_to(PROXY).parent
    return (folder / f"test_{path.name}").exists() or any(folder.glob(f"test_{path.stem}_*.py"))


def test_modules_with_logic_have_a_test_module() -> None:
    untested = {
        named(path)
        for path in modules()
        if path.name != "__init__.py" and has_logic(path) and not has_test_module(path)
    }
    unexplained = sorted(untested - TESTED_ELSEWHERE.keys())
    assert unexplained == [], f"without a test module: {', '.join(unexplained)}"
    assert sorted(TESTED_ELSEWHERE.keys() - untested) == [], "these are no exceptions any more"


def test_test_folders_are_packages() -> None:
    """Test modules of the same name in two folders would otherwise shadow each other."""
    folders = {path.parent for path in TESTS.rglob("*.py") if "node_modules" not in path.parts}
    assert [named(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
