"""An explanation as plain lines of text: no colour, no control characters, one check a line."""

from collections.abc import Iterable, Iterator

from proxy.authorize.explain import Check, Explanation, RouteSeen, RuleSeen
from proxy.authorize.matchers import Verdict
from proxy.model.decision import Decision


def render(explanation: Explanation) -> str:
    """Return the explanation as text that ends without a line break."""
    return "\n".join(_lines(explanation))


def _lines(explanation: Explanation) -> Iterator[str]:
    yield f"request   {explanation.request}"
    yield f"identity  {explanation.identity or 'none: no credential was presented'}"
    if explanation.identity is not None:
        yield f"roles     {', '.join(explanation.roles) or 'none'}"
        yield "bindings"
        yield from _bindings(explanation)
    yield "routes"
    yield from map(_route, explanation.routes)
    if explanation.routes_left_out:
        yield f"  and {explanation.routes_left_out} more that do not match"
    if explanation.route is not None:
        yield f"rules of route `{explanation.route}`"
        yield from _rules(explanation)
    yield f"decision  {_decision(explanation.decision)}"


def _bindings(explanation: Explanation) -> Iterator[str]:
    if not explanation.bindings:
        yield "  none for this issuer"
    for binding in explanation.bindings:
        gives = "gives" if binding.gives else "does not give"
        yield f"  bindings[{binding.index}] {gives} `{binding.role}`"
        yield from _checks(binding.checks)


def _route(route: RouteSeen) -> str:
    if route.why is None:
        return f"  chosen    {route.name}"
    return f"  {'matches ' if route.matches else 'no match'}  {route.name}: {route.why}"


def _rules(explanation: Explanation) -> Iterator[str]:
    if explanation.is_public:
        yield "  public: no rule is asked"
    elif explanation.identity is None:
        yield "  not asked: an identity is needed first"
    elif not explanation.rules:
        yield "  none: everything is denied"
    else:
        for rule in explanation.rules:
            yield from _rule(rule)


def _rule(rule: RuleSeen) -> Iterator[str]:
    words = {True: "holds", False: "does not hold", None: "cannot be evaluated"}
    yield f"  {rule.name} {words[rule.verdict]}"
    yield from _checks(rule.checks)


def _checks(checks: Iterable[Check]) -> Iterator[str]:
    for check in checks:
        yield f"    {_word(check.verdict)}  {check.label}; here: {check.actual}"


def _word(verdict: Verdict) -> str:
    return {True: "yes", False: "no ", None: "?  "}[verdict]


def _decision(decision: Decision) -> str:
    answer = "allowed" if decision.allowed else "denied"
    by_rule = "" if decision.rule is None else f" by {decision.rule}"
    return f"{answer}{by_rule} ({decision.reason.value})"
