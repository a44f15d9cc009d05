"""The Content-Security-Policy of a report: nothing is loaded, nothing is sent, and only the report's own script runs.

Style and script are allowed by the digest of their text. Whatever a model wrote into a report has another digest.
"""

import base64
import hashlib
import re

CLOSED = "default-src 'none'; sandbox"
"""What an unknown page is served with: it is shown, and can do nothing."""

_DIGEST = r"'sha256-[A-Za-z0-9+/]{43}='"
_OWN = re.compile(
    rf"<meta http-equiv=\"Content-Security-Policy\" content=\""
    rf"(default-src 'none'; style-src {_DIGEST}; script-src {_DIGEST}; base-uri 'none'; form-action 'none')\">"
)
_HEAD_BYTES = 1_000


def content_policy(style: str, script: str) -> str:
    """The policy that lets exactly this style and this script act."""
    return (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def policy_to_serve(page: bytes) -> str:
    """The header for a stored report: its own policy in a sandbox; `CLOSED` where it has none of the known shape.

    The sandbox gives the page an origin of its own, so that it reaches nothing of the server that sent it.
    """
    own = _OWN.search(page[:_HEAD_BYTES].decode("utf-8", "replace"))
    return CLOSED if own is None else f"{own[1]}; frame-ancestors 'none'; sandbox allow-scripts"


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
