"""
What pyproject.toml cannot say: which modules are compiled, for those who ask for it.

With `ROLEGATE_COMPILE=1` mypyc turns the modules on every request's way into C, from the very source
that Python runs without it. It takes mypy and a C compiler; `make wheel` sees to both.
"""

import os

from setuptools import Extension, setup

# Where a request passes, by folder. Not here: what is pickled on its way to a worker, what takes weak
# references, and what extends a class that is itself written in C, such as a deque or a msgspec.Struct.
COMPILED = {
    "accept": "client familiar limits listener patience progress reading",
    "authorize": "compile matchers patterns pointer roles routing rules trie",
    "forward": "balance connection forwarder pool reading refusing standing",
    "identify": (
        "binding cache claims failures header issuers jwt keyring registered resolver signature strict "
        "turnstile"
    ),
    "limit": "admission gcra",
    "model": "audit credential decision flow identity peer request route upstream",
    "record": "chain metrics recorder",
    "wire": (
        "bearer framing headers plain_response reading refusal request_line response target traceparent"
    ),
    ".": "ending environment gate ids live outgoing pipeline relaying reply switching",
}


def extensions() -> list[Extension]:
    """Return the compiled modules, none unless they were asked for."""
    if os.environ.get("ROLEGATE_COMPILE") != "1":
        return []
    from mypyc.build import mypycify

    files = [f"proxy/{folder}/{name}.py" for folder, names in COMPILED.items() for name in names.split()]
    compiled = mypycify(
        [os.path.normpath(file) for file in files], opt_level="2", debug_level="0", group_name="rolegate"
    )
    for extension in compiled:
        # Python asks only for the modules; what nobody else can see, the compiler may inline.
        extension.extra_compile_args.append("-fvisibility=hidden")
    return list(compiled)


setup(ext_modules=extensions())
