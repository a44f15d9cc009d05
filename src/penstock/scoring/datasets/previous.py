"""What a dataset was before: the version that its distribution is compared with."""

from dataclasses import dataclass

from penstock.contracts.canonical import digest, digest_bytes
from penstock.registry.case_lines import CaseLine, read_case_lines
from penstock.registry.git import Repository
from penstock.registry.layout import dataset_paths


@dataclass(frozen=True, slots=True)
class PreviousDataset:
    """The cases of an earlier version; `commit` had it, `digest` is its content address.

    `cases` None = it cannot be read by this version's rules, so nothing can be compared with it.
    """

    commit: str
    digest: str
    cases: tuple[CaseLine, ...] | None

    @classmethod
    def before(cls, repository: Repository, commit: str, name: str, now: str | None) -> "PreviousDataset | None":
        """The newest version in the history of `commit` whose cases are not `now` (the digest of a cases.jsonl).

        None where there is no other. Raises `Unavailable` when Git fails.
        """
        path = dataset_paths(name)[1]
        for one in repository.commits(path, until=commit):
            data = repository.read(one.id, path)
            if data is not None and digest_bytes(data) != now:
                return cls(one.id, _digest(repository, one.id, name), _cases(path, data))
        return None


def _digest(repository: Repository, commit: str, name: str) -> str:
    """As `case_set.dataset_digest`, of a commit."""
    files = {}
    for path in dataset_paths(name):
        data = repository.read(commit, path)
        files[path.rpartition("/")[2]] = None if data is None else digest_bytes(data)
    return digest(files)


def _cases(path: str, data: bytes) -> tuple[CaseLine, ...] | None:
    cases, faults = read_case_lines(path, data)
    return None if faults else tuple(cases)
