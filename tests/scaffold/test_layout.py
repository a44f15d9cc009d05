from pathlib import Path

import pytest

from penstock.errors import Conflict, Unavailable
from penstock.scaffold.layout import lay_down
from penstock.scaffold.template import Laid

FILES = {"a.txt": Laid(b"a"), "deep/er/b.sh": Laid(b"#!", is_executable=True)}


def test_all_files_are_laid_down(tmp_path: Path) -> None:
    assert lay_down(tmp_path / "new", FILES) == ["a.txt", "deep/er/b.sh"]
    assert (tmp_path / "new/deep/er/b.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "new/a.txt").stat().st_mode & 0o777 == 0o644


def test_every_file_that_is_there_is_listed_and_none_is_written(tmp_path: Path) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/b.sh").write_text("mine")
    (tmp_path / "a.txt").symlink_to("nowhere")
    with pytest.raises(Conflict) as caught:
        lay_down(tmp_path, {**FILES, "c.txt": Laid(b"c")})
    assert "2 of the files" in caught.value.what
    assert "a.txt\n  deep/er/b.sh" in caught.value.what
    assert not (tmp_path / "c.txt").exists()
    assert (tmp_path / "deep/er/b.sh").read_text() == "mine"


def test_what_was_written_is_taken_back_when_the_rest_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(Unavailable, match="nothing could be laid down"):
        lay_down(tmp_path, {"a/b/c.txt": Laid(b"c"), "file/inside.txt": Laid(b"x")})
    assert [place.name for place in tmp_path.iterdir() if place.name != "gitconfig"] == ["file"]
