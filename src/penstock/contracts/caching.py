"""What may be answered from a cache: a whole run of an agent, one call of a tool."""

from pydantic import Field

from penstock.contracts.document import Spec

MOST_TTL_S = 2_592_000


class SemanticCache(Spec):
    """Answers that are given again to inputs that mean the same, within one tenant and one release."""

    threshold: float = Field(
        0.95, ge=0.5, le=1, description="Cosine from which on two texts mean the same; 1 = equal inputs alone."
    )
    ttl_s: int = Field(3_600, ge=1, le=MOST_TTL_S, description="How old an answer may be, seconds.")
    entries: int = Field(1_000, ge=1, le=100_000, description="Answers a tenant; the oldest goes first.")


class AgentCache(Spec):
    """The caches of an agent."""

    semantic: SemanticCache = Field(description="For agents without tools that write.")


class ToolCache(Spec):
    """Results that are given again to equal calls of a tool that does not write."""

    ttl_s: int = Field(ge=1, le=MOST_TTL_S, description="How old a result may be, seconds.")
    entries: int = Field(1_000, ge=1, le=100_000, description="Results a tenant; the oldest goes first.")
