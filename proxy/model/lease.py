"""How to learn that nobody holds something any more, without holding it."""


class Lease:
    """
    Ends with its only owner: who keeps a weak reference to it sees that end.

    A class of its own, since what is compiled takes no weak references itself.
    """

    __slots__ = ("__weakref__",)
