import os
import subprocess
import sys

import pytest

from proxy.limit.presence import CELL_BYTES, CELLS, CELLS_OF_ROUTES, HEADER_BYTES, Presence


def test_rows_add_up_and_each_process_writes_its_own() -> None:
    first = Presence.create(3)
    second, third = (Presence.attach(os.dup(first.fd), own) for own in (1, 2))
    cell, other = first.cell_of_route("a"), first.cell_of_route("b")
    assert cell != other
    assert second.cell_of_route("a") == cell
    for presence in (first, second, third):
        presence.add(cell, 1)
        presence.add(cell, 1)
    second.add(cell, -1)
    third.add(other, 1)
    assert [presence.total(cell) for presence in (first, second, third)] == [5, 5, 5]
    assert first.total(other) == 1
    first.clear(2)
    assert (second.total(cell), second.total(other)) == (3, 0)
    for presence in (first, second, third):
        presence.close()


def test_what_a_killed_process_counted_is_forgotten_by_row() -> None:
    presence = Presence.create(2)
    cell = presence.cell_of_client("mira")
    program = f"""
import os, signal
from proxy.limit.presence import Presence
presence = Presence.attach({presence.fd}, 1)
presence.add(presence.cell_of_client("mira"), 7)
os.kill(os.getpid(), signal.SIGKILL)
"""
    presence.add(cell, 1)
    subprocess.run([sys.executable, "-c", program], pass_fds=(presence.fd,), check=False, timeout=30)
    assert presence.total(cell) == 8
    presence.clear(1)
    assert presence.total(cell) == 1
    presence.close()


@pytest.mark.parametrize(("own", "is_there"), [(-1, False), (0, True), (1, True), (2, False)])
def test_there_is_a_row_for_each_process_and_no_other(own: int, is_there: bool) -> None:
    presence = Presence.create(2)
    fd = os.dup(presence.fd)
    if is_there:
        Presence.attach(fd, own).close()
    else:
        with pytest.raises(IndexError, match="only 2"):
            Presence.attach(fd, own)
        os.close(fd)
    assert repr(presence) == "<Presence [2 processes]>"
    presence.close()


def test_nobody_can_foresee_whose_cell_is_shared() -> None:
    one, two = Presence.create(1), Presence.create(1)
    names = [str(number) for number in range(2000)]
    for cells in (Presence.cell_of_client, Presence.cell_of_route):
        assert [cells(one, name) for name in names[:20]] != [cells(two, name) for name in names[:20]]
    clients, routes = (
        {cells(one, name) for name in names} for cells in (Presence.cell_of_client, Presence.cell_of_route)
    )
    assert max(clients) < CELLS - CELLS_OF_ROUTES <= min(routes) <= max(routes) < CELLS
    one.close()
    two.close()


def test_a_row_is_wiped_also_where_memory_cannot_be_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    presence = Presence.create(2)
    other = Presence.attach(os.dup(presence.fd), 1)
    presence.add(5, 2)
    other.add(5, 3)
    # What a sandbox does that does not know the call.
    monkeypatch.setattr("proxy.limit.presence.mmap.MADV_REMOVE", -1)
    presence.clear(1)
    assert other.total(5) == 2
    presence.close()
    other.close()


def test_memory_is_taken_where_something_is_counted() -> None:
    presence = Presence.create(4)
    assert os.fstat(presence.fd).st_size == HEADER_BYTES + 4 * CELLS * CELL_BYTES
    for number in range(10):
        presence.add(presence.cell_of_route(str(number)), 1)
    assert os.fstat(presence.fd).st_blocks * 512 <= 64 * 1024
    presence.clear(0)
    assert os.fstat(presence.fd).st_blocks * 512 <= 8 * 1024
    presence.close()
