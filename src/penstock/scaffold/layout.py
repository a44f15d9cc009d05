"""Files laid down together: all of them, or none."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from penstock.errors import Conflict, Unavailable
from penstock.scaffold.template import Laid


def lay_down(root: Path, files: Mapping[str, Laid]) -> list[str]:
    """Writes the files below `root` and returns their paths, sorted.

    Raises `Conflict` listing every one that is there already, `Unavailable` when the disk says no; then nothing stays.
    """
    taken = sorted(path for path in files if (root / path).exists() or (root / path).is_symlink())
    if taken:
        listed = "\n  ".join(taken)
        raise Conflict(
            f"{len(taken)} of the files are there already, so nothing was written:\n  {listed}",
            where=str(root),
            now="choose another name, version or folder, or move them away",
        )
    written: list[Path] = []
    try:
        for path, laid in sorted(files.items()):
            place = root / path
            written += _made_folders(place.parent)
            with place.open("xb") as file:
                written.append(place)
                file.write(laid.data)
            place.chmod(0o755 if laid.is_executable else 0o644)
    except OSError as error:
        remove(written)
        raise Unavailable(
            f"nothing could be laid down: {error.strerror}",
            where=str(error.filename or root),
            now="see its permissions",
        ) from None
    except BaseException:
        remove(written)
        raise
    return sorted(files)


def remove(places: list[Path]) -> None:
    """Takes back what was written, the newest first; a folder only if nothing else is in it."""
    for place in reversed(places):
        with contextlib.suppress(OSError):
            if place.is_dir():
                place.rmdir()
            else:
                place.unlink()


def _made_folders(folder: Path) -> list[Path]:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for place in reversed(missing):
        place.mkdir()
    return list(reversed(missing))
