from penstock.registry.catalog import catalog_rows, created_times, filtered
from penstock.registry.load import load_registry
from penstock.registry.source import GitSource
from penstock.testing.project import Project

STAGES = """apiVersion: penstock.dev/v1
kind: Stages
metadata: {name: writer}
spec: {prod: {version: 1.0.0, runtime: direct}}
"""


def test_rows_say_who_owns_what_and_where_it_stands(small: Project) -> None:
    first = small.repository.commit("HEAD").time
    small.commit(
        {
            "registry_repo/stages/writer.yaml": STAGES,
            "registry_repo/retired.yaml": "deprecated: [tools/search@1.0.0]\n",
        }
    )
    repository = small.repository
    rows = catalog_rows(load_registry(GitSource(repository, "HEAD")), created_times(repository, "HEAD"))
    assert [(row.kind, row.name, row.owner, row.stage, row.status) for row in rows] == [
        ("Agent", "writer", "qa", "prod", "active"),
        ("Model", "standard", "platform", "", "active"),
        ("Policy", "default", "qa", "", "active"),
        ("Prompt", "writer", "qa", "", "active"),
        ("Tool", "search", "qa", "", "deprecated"),
    ]
    assert {row.created_at for row in rows} == {first}
    assert [row.name for row in filtered(rows, {"owner": "platform"}, {"tier": "low"})] == ["standard"]
    assert filtered(rows, {"owner": "platform"}, {"tier": "high"}) == []
    assert set(rows[0].as_document()) == {
        *("kind", "name", "version", "owner", "stage", "status", "createdAt", "description", "labels")
    }
