"""Files that the servers' owner alone may read."""

from pathlib import Path

from app.server_user import private_file


def test_a_private_file_is_private_whatever_lay_there_before(tmp_path: Path) -> None:
    left_over = tmp_path / "redis.new"
    left_over.write_text("from a start that was killed")
    left_over.chmod(0o644)
    with left_over.open() as somebody:
        path = private_file(tmp_path / "redis.password", "secret")
        assert (path.read_text(), oct(path.stat().st_mode & 0o777)) == ("secret", "0o600")
        assert somebody.read() == "from a start that was killed"
    assert [file.name for file in tmp_path.iterdir()] == ["redis.password"]


def test_a_private_file_follows_no_link(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("untouched")
    (tmp_path / "redis.new").symlink_to(other)
    path = private_file(tmp_path / "redis.password", "secret")
    assert (other.read_text(), path.read_text(), path.is_symlink()) == ("untouched", "secret", False)
