"""What an earlier penstock laid down keeps its identity: a changed digest here breaks every stored release."""

import json
from pathlib import Path

from penstock.contracts.canonical import digest
from penstock.contracts.release import Release

GOLDEN = Path(__file__).with_name("golden")


def test_documents_and_releases_keep_their_digests() -> None:
    digests = json.loads((GOLDEN / "digests.json").read_text("utf-8"))
    assert digests
    for name, wanted in digests.items():
        document = json.loads((GOLDEN / name).read_text("utf-8"))
        assert digest(document) == wanted, name
    release = Release.model_validate_json((GOLDEN / "release.json").read_text("utf-8"))
    assert release.digest == digests["release.json"]
