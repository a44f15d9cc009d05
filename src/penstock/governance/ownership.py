"""Who may change what: every file has an owning team, named in teams.yaml as the base branch has it."""

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from penstock.contracts.team import Teams
from penstock.errors import Fault, Unavailable
from penstock.registry.change import Change
from penstock.registry.commit import Commit
from penstock.registry.git import Repository
from penstock.registry.layout import STAGES_FOLDER, TEAMS, Misplaced, Place, document_path, place_of
from penstock.registry.prompt_file import PromptFile, split_prompt
from penstock.registry.source import PROJECT_FOLDERS, Source
from penstock.registry.strict_yaml import parse

PLATFORM_FOLDERS = ("pipelines/", "runtimes/", "registry_repo/teams.yaml", "registry_repo/retired.yaml")


def read_teams(repository: Repository, commit: str) -> Teams | None:
    """teams.yaml at a commit, None if there is none; raises `Unavailable` if it cannot be understood."""
    data = repository.read(commit, TEAMS)
    if data is None:
        return None
    value, problems = parse(data.decode("utf-8", "replace"))
    try:
        if problems:
            raise ValueError(problems[0].what)
        return Teams.model_validate(value)
    except (ValidationError, ValueError) as error:
        what = f"teams.yaml cannot be read: {error}"
        raise Unavailable(what, where=f"{commit[:12]}:{TEAMS}", now="mend it on the base branch") from None


def ownership_faults(repository: Repository, source: Source, change: Change, bot_email: str) -> list[Fault]:
    """Files changed by people outside the owning team. Without teams.yaml at base's tip there is no owner to ask.

    Authors are those of the change's commits, by e-mail; a working tree's own changes are the clone's user's. The
    bot's commits are judged by their trailers, elsewhere. A scorer belongs to all teams whose suites use it: each of
    them may change it.
    """
    teams = read_teams(repository, change.tip)
    if teams is None:
        return []
    owners = _Owners(repository, source, change, teams)
    faults = []
    for path, authors in authors_by_file(repository, source, change).items():
        owning = owners.of(path)
        if not owning or path.startswith(STAGES_FOLDER):
            continue
        who = " and ".join(sorted(owning))
        for author in sorted(authors - _people(teams, owning) - {bot_email.lower()}):
            what = f"belongs to {who}, and {author} is not of {'that team' if len(owning) == 1 else 'these teams'}"
            faults.append(Fault(path, 0, 0, "", what, f"ask {who} to make the change"))
    return sorted(faults)


def authors_by_file(repository: Repository, source: Source, change: Change) -> dict[str, set[str]]:
    """Changed file -> e-mail addresses (lower case) of everyone who changed it on the branch."""
    found: dict[str, set[str]] = {}
    for commit in repository.commits(None, since=change.base, until=change.head):
        for path in changed_by(repository, commit):
            if path in change.files:
                found.setdefault(path, set()).add(commit.author_email)
    if source.commit is None:
        loose = [
            path for path, file in change.files.items() if _is_uncommitted(repository, change.head, path, file.after)
        ]
        me = repository.identity()[1] if loose else ""
        for path in loose:
            found.setdefault(path, set()).add(me)
    return found


def changed_by(repository: Repository, commit: Commit) -> set[str]:
    """The project's files that a commit changed against each of its parents."""
    if not commit.parents:
        return {file.path for file in repository.files(commit.id, PROJECT_FOLDERS)}
    sides = [repository.changes(parent, commit.id).keys() for parent in commit.parents]
    return set(sides[0]).intersection(*sides[1:])


def stage_edit_faults(repository: Repository, change: Change, bot_email: str) -> list[Fault]:
    """Edits of stages/ by anyone but the bot: promotion writes these files, never a hand."""
    edited = [path for path in change.files if path.startswith(STAGES_FOLDER)]
    if not edited:
        return []
    commits = repository.commits(STAGES_FOLDER.rstrip("/"), since=change.base, until=change.head)
    by_hand = [commit for commit in commits if commit.author_email != bot_email.lower()]
    loose = any(_is_uncommitted(repository, change.head, path, change.files[path].after) for path in edited)
    if commits and not by_hand and not loose:
        return []
    who = ", ".join(sorted({commit.author_email for commit in by_hand}))
    who = who or ("an uncommitted change" if loose else "a merge that took another side")
    now = "`agentctl promote`, `rollback` and their like write it"
    return [Fault(path, 0, 0, "", f"is edited by hand ({who})", now) for path in sorted(edited)]


class _Owners:
    """The owning teams of each file; of a name that base knows, the owner that it has there."""

    def __init__(self, repository: Repository, source: Source, change: Change, teams: Teams) -> None:
        self._repository = repository
        self._source = source
        self._change = change
        self._platform = teams.platform_team
        self._known: dict[tuple[str, str], frozenset[str]] = {}

    def of(self, path: str) -> frozenset[str]:
        """The teams; none where anyone may change the file."""
        if path.startswith(PLATFORM_FOLDERS):
            return _teams(self._platform)
        try:
            place = place_of(path)
        except Misplaced:
            return frozenset()
        if place.role == "scorer":
            return frozenset().union(*(self._holders("agents", name) for name in self._users(place.name)))
        holder = _holder(place)
        return self._holders(*holder) if holder is not None else frozenset()

    def _holders(self, folder: str, name: str) -> frozenset[str]:
        key = (folder, name)
        if key not in self._known:
            self._known[key] = _teams(self._at_tip(folder, name) or self._in_change(folder, name))
        return self._known[key]

    def _users(self, scorer: str) -> list[str]:
        """The agents whose eval suites use an own scorer at base's tip; where there are none, as the change has it."""
        tip = self._change.tip
        names = [name for name in self._repository.names(tip, "evals") if name.endswith(".yaml")]
        files = {name: self._repository.read(tip, f"evals/{name}") for name in names}
        users = [name.removesuffix(".yaml") for name, data in files.items() if data and _names_scorer(data, scorer)]
        if users:
            return users
        suites = [path for path in self._source.entries() if path.startswith("evals/") and path.endswith(".yaml")]
        found = [path for path in suites if _names_scorer(self._source.read(path), scorer)]
        return [path.removeprefix("evals/").removesuffix(".yaml") for path in found]

    def _at_tip(self, folder: str, name: str) -> str | None:
        tip = self._change.tip
        for path in _candidates(folder, name, self._repository.names(tip, _folder(folder, name))):
            data = self._repository.read(tip, path)
            owner = _owner_in(path, data) if data is not None else None
            if owner is not None:
                return owner
        return None

    def _in_change(self, folder: str, name: str) -> str | None:
        prefix = f"{_folder(folder, name)}/"
        entries = self._source.entries()
        names = [
            path.removeprefix(prefix) for path in self._change.files if path.startswith(prefix) and path in entries
        ]
        for path in _candidates(folder, name, names):
            owner = _owner_in(path, self._source.read(path)) if path in entries else None
            if owner is not None:
                return owner
        return None


def _people(teams: Teams, owning: Iterable[str]) -> set[str]:
    """The e-mail addresses, in lower case, of everyone in these teams."""
    found = [teams.teams[name] for name in owning if name in teams.teams]
    return {mail.lower() for team in found for mail in (*team.members, *team.approvers)}


def _teams(name: str | None) -> frozenset[str]:
    return frozenset() if name is None else frozenset({name})


def _names_scorer(data: bytes, scorer: str) -> bool:
    """Whether an eval suite, well formed or not, names an own scorer."""
    own = f"own/{scorer}"
    return own.encode() in data and own in _values(parse(data.decode("utf-8", "replace"))[0])


def _values(value: object) -> Iterator[object]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _values(inner)
    else:
        yield value


def _holder(place: Place) -> tuple[str, str] | None:
    """(folder, name) of the document whose owner answers for a file."""
    if place.role in {"document", "code"}:
        return place.folder, place.name
    if place.role in {"suite", "recording", "eval"}:
        return "agents", place.name
    if place.role in {"dataset", "cases"}:
        return "datasets", place.name
    return None


def _folder(folder: str, name: str) -> str:
    return f"datasets/{name}" if folder == "datasets" else f"registry_repo/{folder}/{name}"


def _candidates(folder: str, name: str, names: Iterable[str]) -> list[str]:
    """The documents of one name, newest version first."""
    import semver

    if folder == "datasets":
        return [f"datasets/{name}/dataset.yaml"]
    ending = document_path(folder, name, "")[-5:].rpartition(".")[2]
    versions = {text.removesuffix(f".{ending}") for text in names if text.endswith(f".{ending}") and "/" not in text}
    valid = sorted((v for v in versions if semver.Version.is_valid(v)), key=semver.Version.parse, reverse=True)
    return [document_path(folder, name, version) for version in valid]


def _owner_in(path: str, data: bytes) -> str | None:
    if path.endswith(".md"):
        halves = split_prompt(data)
        if not isinstance(halves, PromptFile):
            return None
        data = halves.front
    value, _ = parse(data.decode("utf-8", "replace"))
    metadata = value.get("metadata") if isinstance(value, dict) else None
    owner = metadata.get("owner") if isinstance(metadata, dict) else None
    return owner if isinstance(owner, str) else None


def _is_uncommitted(repository: Repository, head: str, path: str, after: object) -> bool:
    committed = repository.file_at(head, path)
    blob, mode = getattr(after, "blob", None), getattr(after, "mode", None)
    return (committed.blob, committed.mode) != (blob, mode) if committed else after is not None
