import weakref

from proxy.model.lease import Lease


class Owner:
    __slots__ = ("lease",)

    def __init__(self) -> None:
        self.lease = Lease()


def test_its_end_is_that_of_its_owner() -> None:
    owner = Owner()
    held = weakref.ref(owner.lease)
    assert held() is owner.lease
    del owner
    assert held() is None
