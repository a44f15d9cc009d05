"""Literal secrets in what people write: refused by file and line, never shown.

A quick filter finds lines that may hold one; only then are the detectors of detect-secrets loaded and asked. Beside
them one rule of our own: a credential's name with a long mixed value.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator
from functools import cache
from importlib import import_module
from typing import Any

from penstock.errors import Fault
from penstock.registry.source import Source

DETECTORS = {
    "aws": "AWSKeyDetector",
    "artifactory": "ArtifactoryDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "basic_auth": "BasicAuthDetector",
    "discord": "DiscordBotTokenDetector",
    "github_token": "GitHubTokenDetector",
    "gitlab_token": "GitLabTokenDetector",
    "jwt": "JwtTokenDetector",
    "mailchimp": "MailchimpDetector",
    "npm": "NpmDetector",
    "openai": "OpenAIDetector",
    "private_key": "PrivateKeyDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}
MOST_BYTES = 8 * 1024 * 1024
NOW = "name it instead ({secret: NAME}, or a tool's secrets), and revoke this one"

_LIKELY = re.compile(
    rb"A3T[A-Z0-9]|AKIA|ABIA|ACCA|ASIA|AKC[a-zA-Z0-9]|AP[0-9A-F][a-zA-Z0-9]{8}|AccountKey|://[^\s/:@]{1,64}:[^\s/@]{1,64}@"
    rb"|[MNO][a-zA-Z\d_-]{23,25}\.[a-zA-Z\d_-]{6}\.|gh[pousr]_|github_pat_|gl[a-z]{2,8}-|GR1348941|glffct"
    rb"|eyJ[A-Za-z0-9_-]{8}|-us[0-9]{1,2}|_authToken|sk-[A-Za-z0-9_-]{20}|PRIVATE KEY|PuTTY|pypi-|SG\.[a-zA-Z0-9_-]"
    rb"|xox[abposr]-|hooks\.slack|sq0csp|[sr]k_live|\d{8,10}:[0-9A-Za-z_-]{35}|AC[a-z0-9]{32}|SK[a-z0-9]{32}"
    rb"|sk-ant-[A-Za-z0-9_-]{20}|AIza[0-9A-Za-z_-]{35}|hf_[A-Za-z0-9]{30}"
)
_NAMED = re.compile(
    r"(?i)(?:api[_-]?key|secret|token|passw(?:or)?d|credentials?|access[_-]?key|private[_-]?key|authorization)"
    r"[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?(?P<value>[A-Za-z0-9+/_.!@$%^&*=-]{12,256})"
)
_NAMED_LIKELY = re.compile(_NAMED.pattern.encode())
_OWN = (
    ("Anthropic key", re.compile(r"sk-ant-[A-Za-z0-9_-]{20,}")),
    ("OpenAI key", re.compile(r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}")),
    ("Google API key", re.compile(r"AIza[0-9A-Za-z_-]{35}")),
    ("Hugging Face token", re.compile(r"hf_[A-Za-z0-9]{30,}")),
)
_LEAST_ENTROPY = 3.0
_PART, _OVERLAP = 1_000, 300


def secret_faults(source: Source, paths: Collection[str] | None = None) -> list[Fault]:
    """Every line with a literal secret in the files of `source`, or in those of `paths` that are there."""
    entries = source.entries()
    wanted = entries.keys() if paths is None else [path for path in paths if path in entries]
    faults = []
    for path in wanted:
        entry = entries[path]
        if entry.is_plain and entry.size <= MOST_BYTES:
            faults += text_faults(path, source.read(path))
    return sorted(faults)


def text_faults(path: str, data: bytes) -> list[Fault]:
    """Every line of one file that holds a literal secret."""
    if not _LIKELY.search(data) and not _NAMED_LIKELY.search(data):
        return []
    faults = []
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        for kind, column in sorted({(kind, start + 1) for kind, start, _ in found_secrets(line)}):
            faults.append(Fault(path, number, column, "", f"holds a literal secret ({kind})", NOW))
    return faults


def found_secrets(line: str) -> Iterator[tuple[str, int, int]]:
    """(kind, start, end) of each literal secret in one line of text, counted from 0; some more than once.

    The end of a secret that is longer than 300 characters may be found too early.
    """
    for at, part in _parts(line):
        for kind, start, end in _found(part):
            yield kind, at + start, at + end


def _parts(line: str) -> Iterator[tuple[int, str]]:
    """(start, text) of overlapping parts: some detectors' patterns take a time that grows with the line's square."""
    for start in range(0, max(len(line) - _OVERLAP, 1), _PART - _OVERLAP):
        yield start, line[start : start + _PART]


def _found(line: str) -> Iterator[tuple[str, int, int]]:
    if _LIKELY.search(line.encode("utf-8", "surrogatepass")):
        for detector in _detectors():
            for secret in detector.analyze_string(line):
                for match in re.finditer(re.escape(secret), line) if secret else ():
                    yield str(detector.secret_type), match.start(), match.end()
        for kind, pattern in _OWN:
            for match in pattern.finditer(line):
                if _is_mixed(match[0]):
                    yield kind, match.start(), match.end()
    for match in _NAMED.finditer(line):
        if _is_mixed(match["value"]) and _entropy(match["value"]) >= _LEAST_ENTROPY:
            yield "a credential's value", match.start("value"), match.end("value")


def _is_mixed(value: str) -> bool:
    return any(letter.isdigit() for letter in value) and any(letter.isalpha() for letter in value)


def _entropy(value: str) -> float:
    """Shannon's, bits a character."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)


@cache
def _detectors() -> list[Any]:
    found = []
    for module, name in DETECTORS.items():
        found.append(getattr(import_module(f"detect_secrets.plugins.{module}"), name)())
    return found
