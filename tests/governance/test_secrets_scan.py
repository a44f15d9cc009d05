import time
from pathlib import Path

import pytest

from penstock.governance.secrets_scan import secret_faults, text_faults
from penstock.registry.source import TreeSource

# Put together here, so that no scanner takes this file for a leak.
SECRETS = [
    "AKIA" + "IOSFODNN7EXAMPLF",
    "ghp_" + "a1B2" * 9,
    "glpat-" + "a1B2" * 5,
    "xoxb-" + "123456789012-123456789012-abcdEFGH1234abcdEFGH1234",
    "sk-proj-" + "Ab3dEf6hIj9kLm2nOp5qRs8t",
    "sk-ant-" + "Ab3dEf6hIj9kLm2nOp5qRs8t",
    "-----BEGIN RSA " + "PRIVATE KEY-----",
    "https://user:" + "pa55word@example.org/x",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    'password = "' + 'Tr0ub4dor&3xyz"',
    "apiKey: " + "9f8e7d6c5b4a39281706f5e4d3c2b1a0",
]
PLACES = [
    "metadata: {{description: '{}'}}",
    "  labels: {{a: '{}'}}",
    "# {}",
    "promptVariables: {{x: '{}'}}",
    "parameters: {{headers: '{}'}}",
    '{{"id": "a", "input": "{}"}}',
]
HARMLESS = [
    "apiKey: {secret: OPENAI_API_KEY}",
    "secrets: [JIRA_TOKEN]",
    "maxTokens: 100000",
    "promptTokens: {type: integer}",
    "digest: sha256:" + "ab12" * 16,
    "password: the user's password must have 12 characters",
    "see https://example.org/a:b@c",
    'token = os.environ["JIRA_TOKEN"]',
    "author: author@example.org",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", PLACES)
def test_a_secret_in_every_place_is_refused_and_never_shown(secret: str, place: str) -> None:
    text = f"kind: x\n{place.format(secret)}\n"
    found = text_faults("f.yaml", text.encode())
    assert {fault.line for fault in found} == {2}
    assert all(secret not in str(fault) and secret[8:] not in str(fault) for fault in found)


@pytest.mark.parametrize("line", HARMLESS)
def test_names_of_secrets_are_none(line: str) -> None:
    assert text_faults("f.yaml", line.encode()) == []


def test_every_file_of_a_project_is_read(tmp_path: Path) -> None:
    for path in ("registry_repo/tools/a/1.0.0/tool.py", "contract_suites/a/suite.yaml", "datasets/d/cases.jsonl"):
        place = tmp_path / path
        place.parent.mkdir(parents=True)
        place.write_text(f"x\n{SECRETS[1]}\n")
    found = secret_faults(TreeSource(tmp_path))
    assert [(fault.path.split("/")[0], fault.line) for fault in found] == [
        ("contract_suites", 2),
        ("datasets", 2),
        ("registry_repo", 2),
    ]
    assert len(secret_faults(TreeSource(tmp_path), ["datasets/d/cases.jsonl", "gone"])) == 1


def test_long_lines_take_no_long_time() -> None:
    start = time.process_time()
    for text in ("a" * 90_000, "token" * 20_000, "://a:" * 20_000, "eyJ" * 30_000, "glab-" * 20_000, "0" * 90_000):
        text_faults("f", text.encode())
    assert time.process_time() - start < 5
