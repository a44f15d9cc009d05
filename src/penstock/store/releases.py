"""The release store: releases, blobs, evidence and routing tables by their names in an object store."""

import contextlib
import uuid
from collections.abc import Callable, Mapping
from typing import TypeVar

import orjson
from pydantic import ValidationError
from semver import Version

from penstock import __version__
from penstock.contracts.canonical import canonical, digest, digest_bytes
from penstock.contracts.document import Record
from penstock.contracts.evidence import Approval, Evidence, Request
from penstock.contracts.gate_result import GateResult
from penstock.contracts.line import LineStart, LineStop
from penstock.contracts.release import Release
from penstock.contracts.routing_table import RoutingTable
from penstock.errors import Conflict, Invalid, NotFound, Unavailable
from penstock.store.clock import now
from penstock.store.objects import ObjectStore

LINEAGE = "lineage.json"
CURRENT = "routing/current.json"
R = TypeVar("R", bound=Record)


class ReleaseStore:
    """What was released and what is in force: the truth, of which the database is only an index.

    Everything but the hint `routing/current.json` is written once. All methods raise `Unavailable` when the store
    cannot be reached.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects
        self.url = objects.url

    def lineage(self, *, create: bool = False) -> str:
        """The store's UUID, by which executors know it again; `create` gives a new store one.

        Raises `NotFound` when it has none.
        """
        data = self.objects.get(LINEAGE) if not create else self._first_lineage()
        if data is None:
            raise NotFound(
                "the release store has no lineage.json: nothing was released to it yet",
                where=self.url,
                now="check PENSTOCK_RELEASES_URL; the first `agentctl promote` or `reconcile` makes it",
            )
        document = self._document(LINEAGE, data)
        if not isinstance(document.get("lineage"), str):
            raise Invalid("holds no lineage", where=f"{self.url}/{LINEAGE}", now="restore the file")
        return str(document["lineage"])

    def put_release(self, release: Release, blobs: Mapping[str, bytes]) -> str:
        """Stores the blobs, then the release; returns its digest. Storing it again changes nothing.

        Raises `Invalid` when a blob that the release needs is neither given nor stored, or is not its digest.
        """
        for name in sorted(release.blobs):
            data = blobs.get(name)
            if data is None:
                self.get_blob(name)
            else:
                self.put_blob(name, data)
        self.objects.create(_release_name(release.digest), canonical(release.as_document()))
        return release.digest

    def put_blob(self, name: str, data: bytes) -> None:
        """Stores bytes under their digest; raises `Invalid` when it is another's."""
        if digest_bytes(data) != name:
            raise Invalid(f"the bytes given for {name} have another digest", now="resolve the release again")
        self.objects.create(_blob_name(name), data)

    def get_release(self, name: str) -> Release:
        """The release of that digest; raises `NotFound`, or `Invalid` when what is stored is not that release."""
        return parse_release(name, self.get_release_bytes(name), self.url)

    def get_release_bytes(self, name: str) -> bytes:
        """The release as it is stored, unchecked; raises `NotFound`."""
        return self._required(_release_name(name), f"release {name}")

    def get_blob(self, name: str) -> bytes:
        """The bytes of that digest; raises `NotFound`, or `Invalid` when they were changed."""
        data = self._required(_blob_name(name), f"blob {name}")
        if digest_bytes(data) != name:
            raise _damaged(self.url, _blob_name(name))
        return data

    def name_release(self, agent: str, version: str, release: str) -> None:
        """Binds `agent@version` to a digest for good; raises `Conflict` when it is bound to another."""
        if not self.objects.create(_by_name(agent, version), release.encode()):
            bound = self.named_release(agent, version)
            if bound != release:
                raise Conflict(
                    f"{agent}@{version} was released as {bound}, and is now {release}",
                    where=self.url,
                    now="a released version never changes: give the change a new version",
                )

    def named_release(self, agent: str, version: str) -> str | None:
        """The digest that `agent@version` was released as; None before its release."""
        data = self.objects.get(_by_name(agent, version))
        return data.decode().strip() if data is not None else None

    def put_result(self, result: GateResult) -> str:
        """Stores a sealed result under its id; raises `Invalid` when the id is not its digest."""
        if result.id != result.computed_id:
            raise Invalid(f"result of gate {result.gate} is not sealed", now="seal it before it is stored")
        self.objects.create(_hashed("results", result.id), _json(result))
        return result.id

    def get_result(self, name: str) -> GateResult:
        """The result of that id; raises `NotFound` or `Invalid`."""
        return self._record(_hashed("results", name), GateResult, name, _result_digest)

    def result_names(self) -> list[str]:
        """The ids of all results."""
        return self._digests("results/sha256/")

    def put_evidence(self, evidence: Evidence) -> str:
        """Stores the evidence under its digest."""
        self.objects.create(_hashed("evidence", evidence.digest), _json(evidence))
        return evidence.digest

    def get_evidence(self, name: str) -> Evidence:
        """The evidence of that digest; raises `NotFound` or `Invalid`."""
        return self._record(_hashed("evidence", name), Evidence, name, _evidence_digest)

    def evidence_names(self) -> list[str]:
        """The digests of all evidence."""
        return self._digests("evidence/sha256/")

    def put_approval(self, approval: Approval) -> str:
        """Stores a person's decision beside others on the same evidence."""
        name = f"approvals/{_hex(approval.evidence)}/{_hex(approval.digest)}.json"
        self.objects.create(name, canonical(approval.as_document()))
        return approval.digest

    def approvals(self, evidence: str) -> list[Approval]:
        """All decisions on that evidence, oldest first; raises `Invalid` for a damaged one."""
        return sorted(self._folder(f"approvals/{_hex(evidence)}/", Approval), key=lambda approval: approval.at)

    def put_request(self, request: Request) -> str:
        """Stores what a person asks of the driver."""
        self.objects.create(f"requests/{_hex(request.digest)}.json", canonical(request.as_document()))
        return request.digest

    def requests(self) -> list[Request]:
        """All requests ever made, oldest first."""
        return sorted(self._folder("requests/", Request), key=lambda request: request.at)

    def put_answer(self, request: str, outcome: str, reason: str) -> bool:
        """Closes the request of that digest; False when it has an answer already, which stays."""
        answer = {"request": request, "outcome": outcome, "reason": reason, "at": now()}
        return self.objects.create(f"answers/{_hex(request)}.json", orjson.dumps(answer))

    def answers(self) -> dict[str, dict[str, object]]:
        """Request digest -> its answer: outcome, reason, at."""
        names = self.objects.list("answers/")
        return {f"sha256:{_stem(name)}": self._document(name, self._required(name, name)) for name in names}

    def put_line_stop(self, stop: LineStop) -> str:
        """Stops the whole project's promotions until a start of that stop is stored; returns its digest."""
        self.objects.create(f"line/stops/{_hex(stop.digest)}.json", canonical(stop.as_document()))
        return stop.digest

    def put_line_start(self, start: LineStart) -> bool:
        """Lifts a stop; False when it was lifted already."""
        return self.objects.create(f"line/starts/{_hex(start.stop)}.json", canonical(start.as_document()))

    def line_stops(self) -> list[LineStop]:
        """The stops that nobody has lifted, oldest first; raises `Invalid` for a damaged one."""
        lifted = {_stem(name) for name in self.objects.list("line/starts/")}
        names = [name for name in self.objects.list("line/stops/") if _stem(name) not in lifted]
        stops = [self._record(name, LineStop, f"sha256:{_stem(name)}", digest) for name in names]
        return sorted(stops, key=lambda stop: stop.at)

    def put_report(self, evidence: str, name: str, data: bytes) -> bool:
        """Stores a file of the report on that evidence; False when it has one of that name, which stays."""
        return self.objects.create(f"reports/{_hex(evidence)}/{name}", data)

    def get_report(self, evidence: str, name: str) -> bytes:
        """A file of the report on that evidence; raises `NotFound`."""
        return self._required(f"reports/{_hex(evidence)}/{name}", f"report {name} on {evidence}")

    def generations(self) -> list[int]:
        """All generations that have a name, complete or not, lowest first."""
        names = self.objects.list("routing/")
        stems = [name.removeprefix("routing/").removesuffix(".json") for name in names if name.endswith(".json")]
        return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())

    def highest_generation(self) -> int:
        """The highest generation that has a name, complete or not; 0 if there is none."""
        return max(self.generations(), default=0)

    def table(self, generation: int) -> RoutingTable | None:
        """The table of that generation; None if there is none. Raises `Invalid` when it is not complete."""
        data = self.table_bytes(generation)
        return None if data is None else parse_table(data, generation, f"{self.url}/{table_name(generation)}")

    def table_bytes(self, generation: int) -> bytes | None:
        """The table of that generation as it is stored."""
        return self.objects.get(table_name(generation))

    def newest_table(self) -> RoutingTable | None:
        """The table in force: the highest complete one; None if there is none at all.

        Raises `Unavailable` when tables exist but none of them can be read: that is not an empty store.
        """
        return self.newest_and_highest()[0]

    def newest_and_highest(self) -> tuple[RoutingTable | None, int]:
        """The table in force and the highest generation that has a name, as one listing shows them."""
        generations = self.generations()
        for generation in reversed(generations):
            with contextlib.suppress(Invalid):
                table = self.table(generation)
                if table is not None:
                    return table, generations[-1]
        if generations:
            raise Unavailable(
                "no routing table of the release store can be read", where=self.url, now="restore routing/ of the store"
            )
        return None, 0

    def create_table(self, table: RoutingTable) -> bool:
        """Writes a new generation, exclusively; False when somebody was first. The hint follows if it can."""
        if not self.objects.create(table_name(table.generation), _json(table)):
            return False
        with contextlib.suppress(Unavailable):  # the generation stands; the next one repairs the hint
            self.objects.replace_hint(CURRENT, orjson.dumps({"generation": table.generation}))
        return True

    def _first_lineage(self) -> bytes | None:
        self.objects.create(LINEAGE, orjson.dumps({"lineage": str(uuid.uuid4())}))
        return self.objects.get(LINEAGE)

    def _required(self, name: str, what: str) -> bytes:
        data = self.objects.get(name)
        if data is None:
            raise NotFound(f"{what} is not in the release store", where=self.url, now="check that the store is whole")
        return data

    def _document(self, name: str, data: bytes) -> dict[str, object]:
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise _damaged(self.url, name)
        return document

    def _record(self, name: str, shape: type[R], digest_: str, of: Callable[[dict[str, object]], str]) -> R:
        document = self._document(name, self._required(name, name))
        try:
            record = shape.model_validate(document)
            found = of(document)
        except (ValidationError, KeyError, TypeError, ValueError):
            raise _damaged(self.url, name) from None
        if found != digest_:
            raise _damaged(self.url, name)
        return record

    def _folder(self, prefix: str, shape: type[R]) -> list[R]:
        names = self.objects.list(prefix)
        return [self._record(name, shape, f"sha256:{_stem(name)}", digest) for name in names]

    def _digests(self, prefix: str) -> list[str]:
        return [f"sha256:{_stem(name)}" for name in self.objects.list(prefix)]


def parse_release(name: str, data: bytes, where: str) -> Release:
    """The release in `data`, which must be the one of that digest; raises `Invalid`.

    Raises `Unavailable` for one that needs a newer engine: fields that this one does not know would count as unsaid.
    """
    try:
        document = orjson.loads(data)
        if digest_bytes(data) != name and digest(document) != name:
            raise _damaged(where, _release_name(name))
        release = Release.model_validate(document)
        is_newer = Version.parse(release.min_engine) > Version.parse(__version__)
    except ValueError:
        raise _damaged(where, _release_name(name)) from None
    if is_newer:
        raise Unavailable(
            f"{release.name}@{release.version} needs penstock {release.min_engine}, and this is {__version__}",
            where=f"{where}/{_release_name(name)}",
            now=f"install penstock {release.min_engine} or later here",
        )
    return release


def parse_table(data: bytes, generation: int | None, where: str) -> RoutingTable:
    """The table in `data`, whole and of that generation (None: any); raises `Invalid`."""
    try:
        table = RoutingTable.model_validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise Invalid(
            f"the routing table is not complete: {place + ': ' if place else ''}{fault['msg']}",
            where=where,
            now="the last good table stays in force; the next publish goes past it",
        ) from None
    if generation is not None and table.generation != generation:
        raise Invalid(
            f"the table says generation {table.generation}, its name {generation}",
            where=where,
            now="the last good table stays in force; the next publish goes past it",
        )
    return table


def table_name(generation: int) -> str:
    """The object that holds that generation."""
    return f"routing/{generation:012d}.json"


def _json(record: Record) -> bytes:
    return orjson.dumps(record.as_document())


def _result_digest(document: dict[str, object]) -> str:
    return digest({key: value for key, value in document.items() if key != "id"})


def _evidence_digest(document: dict[str, object]) -> str:
    return Evidence.model_validate(document).digest


def _stem(name: str) -> str:
    return name.rsplit("/", 1)[1].removesuffix(".json")


def _hex(name: str) -> str:
    return name.removeprefix("sha256:")


def _hashed(folder: str, name: str) -> str:
    return f"{folder}/sha256/{_hex(name)}.json"


def _release_name(name: str) -> str:
    return _hashed("releases", name)


def _blob_name(name: str) -> str:
    return f"blobs/sha256/{_hex(name)}"


def _by_name(agent: str, version: str) -> str:
    return f"releases/by-name/{agent}@{version}"


def _damaged(where: str, name: str) -> Invalid:
    return Invalid(
        "what is stored is damaged: it is not what its name says",
        where=f"{where}/{name}",
        now="restore this object from a copy of the store; nothing uses it until then",
    )
