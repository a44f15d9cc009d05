"""PurseFile: what an executor has in hand, where it can be read after the executor was killed.

It is memory that the kernel keeps for a file: writing it costs no system call, and what a killed process wrote is
there. What a machine that lost its power wrote may not be: so the file names the boot that it was written in, and says
nothing after another one.
"""

import mmap
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from penstock.store.budget_ledger import Account

NAME = "purses"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HEAD, _SLOT, _SLOTS = 64, 384, 128
_FIGURES, _LENGTH = Struct("<qq"), Struct("<H")
_KEY = _FIGURES.size + _LENGTH.size


@dataclass(frozen=True, slots=True)
class InHand:
    """What was drawn of an account by then, and how much of that was spent or set aside, billionths of a USD."""

    granted: int
    committed: int

    def unknown(self, block: int) -> int:
        """What of a block nobody can tell: neither in the ledger, which took the rest of it, nor free."""
        in_ledger = max(0, self.granted - block)
        return min(block, max(0, self.committed - in_ledger))


class PurseFile:
    """The file of one executor, in its spool's folder. Where it cannot be written it says nothing."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / NAME
        self._slots: dict[Account, int] = {}
        self._room = 0
        self._memory: mmap.mmap | None = None
        self._grow()

    def put(self, account: Account, granted: int, committed: int) -> None:
        """Notes the figures of an account."""
        slot = self._slots.get(account)
        if slot is None:
            slot = self._new_slot(account)
        if self._memory is not None:
            _FIGURES.pack_into(self._memory, slot, granted, committed)

    def close(self) -> None:
        """Ends it; a file that is left is the drain's."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _new_slot(self, account: Account) -> int:
        slot = _HEAD + _SLOT * len(self._slots)
        key = "\n".join(account).encode()
        if slot >= self._room:
            self._grow()
        if self._memory is not None:
            if len(key) > _SLOT - _KEY:
                return self._give_up(slot)
            self._memory[slot + _KEY : slot + _KEY + len(key)] = key
            _LENGTH.pack_into(self._memory, slot + _FIGURES.size, len(key))
        self._slots[account] = slot
        return slot

    def _grow(self) -> None:
        """Makes room; written, not only reserved: memory without a disk behind it would end the process."""
        if self._room and self._memory is None:
            return
        more = _SLOT * _SLOTS if self._room else _HEAD + _SLOT * _SLOTS
        try:
            with self._file.open("ab" if self._room else "wb") as file:
                file.write(b"\0" * more)
            with self._file.open("r+b") as file:
                grown = mmap.mmap(file.fileno(), 0)
        except (OSError, ValueError):
            self._give_up(0)
            return
        boot = boot_id().encode()[:_HEAD]
        grown[: len(boot)] = boot
        self.close()
        self._memory, self._room = grown, self._room + more

    def _give_up(self, slot: int) -> int:
        self.close()
        self._room = max(self._room, 1)
        self._file.unlink(missing_ok=True)
        return slot


def read_purses(folder: Path) -> dict[Account, InHand] | None:
    """What an executor that is gone had in hand; None where nobody can say, as after the machine's next boot."""
    try:
        data = (folder / NAME).read_bytes()
    except OSError:
        return None
    boot = data[:_HEAD].rstrip(b"\0").decode("utf-8", "replace")
    if not boot or boot != boot_id():
        return None
    found: dict[Account, InHand] = {}
    for slot in range(_HEAD, len(data) - _SLOT + 1, _SLOT):
        (length,) = _LENGTH.unpack_from(data, slot + _FIGURES.size)
        if length:
            holder, _, period = data[slot + _KEY : slot + _KEY + length].decode("utf-8", "replace").partition("\n")
            found[holder, period] = InHand(*_FIGURES.unpack_from(data, slot))
    return found


def boot_id() -> str:
    """The machine's boot; empty where the system does not tell."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""
