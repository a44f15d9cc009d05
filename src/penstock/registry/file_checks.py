"""What holds for every file, whatever it says: plain, of bounded size, with a name that every machine can keep."""

import unicodedata
from collections.abc import Iterable

from penstock.errors import Fault
from penstock.registry.source import SUBMODULE, SYMLINK, Entry

KIB = 1024
MOST_BYTES = {".yaml": 256 * KIB, ".md": 256 * KIB, ".jsonl": 64 * KIB * KIB}
MOST_BYTES_OTHERWISE = 4 * KIB * KIB


def file_faults(entry: Entry) -> list[Fault]:
    """What is wrong with one file, before it is read."""
    path = entry.path
    if entry.mode == SYMLINK:
        return [Fault(path, 0, 0, "", "is a symlink", "put the file itself there")]
    if entry.mode == SUBMODULE:
        return [Fault(path, 0, 0, "", "is a submodule or another repository", "put the files themselves there")]
    if not path.isascii() and (not path.isprintable() or not unicodedata.is_normalized("NFC", path)):
        return [Fault(ascii(path)[1:-1], 0, 0, "", "has a name that is not UTF-8 in form NFC", "rename it")]
    most = MOST_BYTES.get(path[path.rfind(".") :], MOST_BYTES_OTHERWISE)
    if entry.size > most:
        return [Fault(path, 0, 0, "", f"has {entry.size} bytes, more than {most}", "make it smaller")]
    return []


def collision_faults(paths: Iterable[str]) -> list[Fault]:
    """Paths that differ in case alone: one of them is lost on some machines."""
    known: dict[str, str] = {}
    faults = []
    for path in sorted(paths):
        other = known.setdefault(path.casefold(), path)
        if other != path:
            faults.append(Fault(path, 0, 0, "", f"differs from {other} in case alone", "rename one of them"))
    return faults
