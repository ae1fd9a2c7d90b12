from pathlib import Path

from proxy.demo.tail import MAX_READ_BYTES, Tail


def test_missing_file_has_no_lines(tmp_path: Path) -> None:
    assert Tail(tmp_path / "nope").read() == []


def test_each_line_is_given_once_and_only_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(path)
    path.write_bytes(b"one\ntw")
    assert tail.read() == [b"one"]
    assert tail.read() == []
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert tail.read() == [b"two", b"three"]


def test_long_file_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "log"
    line = b"x" * 999 + b"\n"
    count = 2 * MAX_READ_BYTES // len(line)
    path.write_bytes(line * count)
    tail = Tail(path)
    first = tail.read()
    assert 0 < len(first) < count
    assert len(first) + len(tail.read()) == count
