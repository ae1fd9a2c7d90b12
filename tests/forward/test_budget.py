from proxy.forward.budget import Budget
from proxy.model.upstream import Retries


def spend_all(budget: Budget) -> int:
    count = 0
    while budget.has_some:
        budget.spend()
        count += 1
    return count


def test_the_reserve_is_there_from_the_start_and_then_only_the_share() -> None:
    budget = Budget(Retries(budget_percent=20, reserve=7))
    assert spend_all(budget) == 7
    for _ in range(100):
        budget.earn()
    assert spend_all(budget) in (7, 8)  # no more than the reserve can be saved
    for _ in range(10):
        budget.earn()
    assert spend_all(budget) in (2, 3)
    assert budget.refused == 3


def test_without_a_share_only_the_reserve_is_left() -> None:
    budget = Budget(Retries(budget_percent=0, reserve=1))
    assert spend_all(budget) == 1
    for _ in range(1000):
        budget.earn()
    assert spend_all(budget) == 0
    assert repr(budget) == "<Budget 0.0 left of 1>"
