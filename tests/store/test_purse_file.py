from pathlib import Path

import pytest

from penstock.store.purse_file import NAME, InHand, PurseFile, boot_id, read_purses

ACCOUNT = ("agent:clerk", "2026-11-29")


@pytest.mark.parametrize(
    ("granted", "committed", "block", "unknown"),
    [
        (100, 0, 100, 0),  # nothing was spent
        (100, 40, 60, 0),  # all that was spent is in the ledger
        (100, 40, 100, 40),  # nothing of it is
        (100, 40, 70, 10),
        (100, 40, 130, 40),  # killed between a draw and its note: the older note tells less
        (100, 160, 20, 20),  # a call cost more than was held
    ],
)
def test_what_nobody_can_tell_of_a_block(granted: int, committed: int, block: int, unknown: int) -> None:
    assert InHand(granted, committed).unknown(block) == unknown


def test_the_last_figures_of_each_account_are_read_without_a_goodbye(tmp_path: Path) -> None:
    file = PurseFile(tmp_path)
    accounts = [(f"tenant:{'ü' * 120}{number}", "2026-11") for number in range(300)]
    for number, account in enumerate(accounts):
        file.put(account, 2**40 + number, number)
        file.put(account, 2**40 + number, number + 1)
    found = read_purses(tmp_path)
    assert found == {account: InHand(2**40 + number, number + 1) for number, account in enumerate(accounts)}
    file.close()


def test_after_another_boot_or_without_a_file_nobody_can_say(tmp_path: Path) -> None:
    assert read_purses(tmp_path) is None
    file = PurseFile(tmp_path)
    file.put(ACCOUNT, 2, 1)
    file.close()
    assert read_purses(tmp_path) == {ACCOUNT: InHand(2, 1)}
    data = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(data.replace(boot_id().encode(), b"x" * len(boot_id())))
    assert read_purses(tmp_path) is None


def test_what_cannot_be_written_says_nothing_and_harms_nobody(tmp_path: Path) -> None:
    nowhere = PurseFile(tmp_path / "missing")
    nowhere.put(ACCOUNT, 2, 1)
    nowhere.close()
    long = PurseFile(tmp_path)
    long.put(ACCOUNT, 2, 1)
    long.put(("tenant:" + "x" * 1_000, "2026-11"), 2, 1)
    long.put(ACCOUNT, 3, 2)
    assert read_purses(tmp_path) is None
