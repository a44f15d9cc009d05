"""Verify: whether a release store can serve all that its routing tables name."""

from dataclasses import dataclass, field

from penstock.errors import Invalid, PenstockError, Unavailable
from penstock.routing.table_shape import named_releases
from penstock.store.releases import ReleaseStore, table_name


@dataclass
class Verification:
    """What was looked at and what is wrong; `faults` is complete."""

    lineage: str
    tables: int = 0
    releases: int = 0
    blobs: int = 0
    faults: list[str] = field(default_factory=list)


def verify(store: ReleaseStore) -> Verification:
    """Reads every table, release and blob: whole, what their digests say, of one lineage, in one chain.

    Raises `Unavailable` when the store cannot be reached, `NotFound` when it is no release store yet.
    """
    seen = Verification(store.lineage())
    releases: dict[str, int] = {}
    previous: int | None = None
    for generation in store.generations():
        try:
            table = store.table(generation)
        except Invalid as fault:
            seen.faults.append(f"{table_name(generation)}: {fault.what}")
            continue
        if table is None:
            continue
        seen.tables += 1
        if table.lineage != seen.lineage:
            seen.faults.append(f"{table_name(generation)}: is of lineage {table.lineage}, the store of {seen.lineage}")
        said = table.source.previous_generation
        if said != previous:
            seen.faults.append(f"{table_name(generation)}: says it came after {said}, it came after {previous}")
        previous = generation
        for digest in named_releases(table.as_document()):
            releases.setdefault(digest, generation)
    _verify_releases(store, releases, seen)
    return seen


def _verify_releases(store: ReleaseStore, releases: dict[str, int], seen: Verification) -> None:
    blobs: dict[str, str] = {}
    for digest, generation in sorted(releases.items()):
        try:
            blobs.update(dict.fromkeys(store.get_release(digest).blobs, digest))
            seen.releases += 1
        except Unavailable:
            raise
        except PenstockError as fault:
            seen.faults.append(f"generation {generation}: {fault.where}: {fault.what}")
    for blob, release in sorted(blobs.items()):
        try:
            store.get_blob(blob)
            seen.blobs += 1
        except Unavailable:
            raise
        except PenstockError as fault:
            seen.faults.append(f"release {release}: {fault.where}: {fault.what}")
