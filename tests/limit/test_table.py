import os
import subprocess
import sys

import pytest

from proxy.limit.table import HEADER_BYTES, NEIGHBOURS, SLOT_BYTES, Table

NOW = 1000.0


def test_what_was_put_is_found() -> None:
    table = Table.create(100)
    key = table.key_of("a")
    assert table.get(key, NOW) == 0.0
    table.put(key, NOW + 5, NOW)
    table.put(table.key_of("b"), NOW + 6, NOW)
    assert table.get(key, NOW) == NOW + 5
    assert table.get(table.key_of("b"), NOW) == NOW + 6
    assert table.entries(NOW) == 2
    table.put(key, NOW + 7, NOW)
    assert table.get(key, NOW) == NOW + 7
    assert table.entries(NOW + 6.5) == 1


def test_memory_is_sixteen_bytes_an_entry_however_many_callers_come() -> None:
    table = Table.create(1000, is_shared=True)
    assert table.fd is not None
    for number in range(5000):
        table.put(table.key_of(f"caller {number}"), NOW + 10, NOW)
    assert table.entries(NOW) <= 1000
    assert table.evictions >= 4000
    assert os.fstat(table.fd).st_size == HEADER_BYTES + 1000 * SLOT_BYTES
    table.close()


@pytest.mark.parametrize("count", [NEIGHBOURS - 1, NEIGHBOURS, NEIGHBOURS + 1])
def test_a_full_table_gives_way_where_least_is_used(count: int) -> None:
    table = Table.create(NEIGHBOURS)
    for number in range(count):
        table.put(number + 1, NOW + 10 + number, NOW)
    assert table.evictions == max(0, count - NEIGHBOURS)
    kept = [number for number in range(count) if table.get(number + 1, NOW) == NOW + 10 + number]
    assert kept == list(range(max(0, count - NEIGHBOURS), count))


def test_a_newcomer_to_a_full_table_has_used_what_the_least_of_its_neighbours_used() -> None:
    """Or somebody with many names could push out the entry of one of them, and begin anew."""
    table = Table.create(NEIGHBOURS)
    for key in range(1, NEIGHBOURS + 1):
        table.put(key, NOW + 10 * key, NOW)
    assert table.get(99, NOW) == NOW + 10
    table.put(99, NOW + 11, NOW)
    # Who was pushed out comes back to no less than it had used.
    assert table.get(1, NOW) == NOW + 11
    assert table.get(99, NOW) == NOW + 11


def test_an_entry_that_has_ended_makes_room() -> None:
    table = Table.create(NEIGHBOURS)
    for key in range(1, NEIGHBOURS + 1):
        table.put(key, NOW + key, NOW)
    later = NOW + 1.5
    assert table.get(99, later) == 0.0
    table.put(99, later + 50, later)
    assert table.get(99, later) == later + 50
    assert table.evictions == 0
    assert table.get(2, later) == NOW + 2


def test_nobody_outside_can_tell_where_an_entry_lies() -> None:
    assert Table.create(10).key_of("a") != Table.create(10).key_of("a")


def test_any_text_has_a_key() -> None:
    table = Table.create(10)
    assert len({table.key_of(text) for text in ("", "a", "a\0", "ä", "\ud800")}) == 5


def test_another_process_sees_what_was_used() -> None:
    table = Table.create(100, is_shared=True)
    assert table.fd is not None
    key = table.key_of("a")
    table.put(key, NOW + 5, NOW)
    code = (
        "import sys; from proxy.limit.table import Table; table = Table.attach(int(sys.argv[1]));"
        f"key = table.key_of('a'); assert table.get(key, {NOW}) == {NOW + 5};"
        f"table.put(key, {NOW + 9}, {NOW})"
    )
    command = [sys.executable, "-c", code, str(table.fd)]
    subprocess.run(command, pass_fds=[table.fd], check=True, timeout=60)
    assert table.get(key, NOW) == NOW + 9
    table.close()


def test_memory_of_another_kind_is_refused() -> None:
    fd = os.memfd_create("other")
    os.ftruncate(fd, 4096)
    with pytest.raises(ValueError, match="no table"):
        Table.attach(fd)
    os.close(fd)


def test_it_is_shown_with_its_size() -> None:
    assert repr(Table.create(20)) == "<Table [20 slots, 0 evictions]>"
