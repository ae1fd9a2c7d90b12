"""What the audit trail says, against what clients and upstreams saw."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tests.chaos.client import Witness
from tests.chaos.upstream import ChaoticUpstream
from tests.kit.local_proxy import Record

# Sent again without telling anybody that cannot be told: RFC 9110 section 9.2.2.
ONCE_ONLY = frozenset({"POST"})

NAME = re.compile(r"[nw]\d+\.\d+m")


def check(
    records: Sequence[Record],
    upstreams: Iterable[ChaoticUpstream],
    witness: Witness,
    *,
    may_lack_outcome: int = 0,
) -> None:
    """
    Compare everything with everything.

    `may_lack_outcome` is how many requests were under way when their process was killed.
    """
    endpoints = list(upstreams)
    assert not witness.faults, witness.faults[:5]
    assert [one[:300] for endpoint in endpoints for one in endpoint.mixed] == []
    decisions = by_id(records, "decision")
    outcomes = by_id(records, "outcome")
    allowed = {one for one, record in decisions.items() if record["decision"] == "allow"}
    assert outcomes.keys() <= allowed, "an outcome without a request that was allowed"
    assert len(allowed - outcomes.keys()) <= may_lack_outcome
    seen: Counter[str] = Counter()
    for endpoint in endpoints:
        seen.update(endpoint.seen)
    assert seen.keys() <= allowed, "an upstream saw what nobody allowed"
    check_attempts(seen, decisions, outcomes)
    check_answers(witness, decisions, outcomes)
    check_names(decisions.values(), witness)


def by_id(records: Iterable[Record], kind: str) -> dict[str, Record]:
    """Return the records of a kind by request id, after checking that no id is there twice."""
    chosen = [record for record in records if record["kind"] == kind]
    twice = [one for one, count in Counter(record["request_id"] for record in chosen).items() if count > 1]
    assert twice == [], f"several records of kind {kind}"
    return {record["request_id"]: record for record in chosen}


def check_attempts(
    seen: Mapping[str, int], decisions: Mapping[str, Record], outcomes: Mapping[str, Record]
) -> None:
    """Who was sent several times says so, and was one that may be."""
    for request_id, count in seen.items():
        outcome = outcomes.get(request_id)
        if outcome is not None:
            assert count <= outcome.get("attempts", 1), outcome
        assert count == 1 or decisions[request_id]["method"] not in ONCE_ONLY, decisions[request_id]


def check_answers(witness: Witness, decisions: Mapping[str, Record], outcomes: Mapping[str, Record]) -> None:
    """What came whole to a client is on record as what it was."""
    for request_id, status in witness.answered.items():
        assert request_id in decisions, f"{status} without a decision"
        outcome = outcomes.get(request_id)
        if outcome is not None:
            assert outcome["status"] == status, outcome
        elif decisions[request_id]["decision"] == "allow":
            # Killed between the answer and its record, which is not written before the answer.
            continue
        if status == 200:
            assert outcome is not None
            assert outcome["reason"] == "completed", outcome


def check_names(decisions: Iterable[Record], witness: Witness) -> None:
    """Each name was decided on once, and none was heard of that no client made up."""
    # Of a target that was cut there is a record too, with what came of it.
    found = (NAME.fullmatch(record["path"].rpartition("/")[2]) for record in decisions)
    names = Counter(name[0] for name in found if name is not None)
    assert [name for name, count in names.items() if count > 1] == []
    assert names.keys() <= witness.names
