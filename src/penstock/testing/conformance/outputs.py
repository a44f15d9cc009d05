"""Cases of structured output: valid, repaired, and refused."""

from typing import Any

from penstock.testing.conformance.rig import Cases
from penstock.testing.fake_provider import FakeProvider, says

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
AGENT: dict[str, Any] = {"output": {"schema": SCHEMA}}


class OutputCases(Cases):
    """The engine checks the output, whatever the runtime makes of it."""

    async def test_valid_structured_output_is_parsed(self) -> None:
        """The schema goes out as response format, the answer comes back as JSON."""
        provider = FakeProvider(says('{"count": 3}'))
        rig = self.rig(provider)
        result = await rig.run(rig.call(AGENT))
        assert (result.status, result.output) == ("finished", {"count": 3})
        assert provider.calls[0].response_format is not None
        assert provider.calls[0].response_format["json_schema"]["schema"] == SCHEMA

    async def test_invalid_output_is_repaired_once(self) -> None:
        """The faults are named to the model, after its own answer."""
        provider = FakeProvider(says('{"count": "three"}'), says('{"count": 3}'))
        rig = self.rig(provider)
        result = await rig.run(rig.call(AGENT))
        assert (result.status, result.output, result.usage.model_calls) == ("finished", {"count": 3}, 2)
        *_, answer, repair = provider.calls[1].messages
        assert (answer["role"], answer["content"]) == ("assistant", '{"count": "three"}')
        assert repair["role"] == "user"
        assert "/count" in repair["content"]

    async def test_output_that_stays_invalid_fails_the_run(self) -> None:
        """A second bad answer is never returned as success."""
        provider = FakeProvider(says("not JSON"), says('{"count": "three"}'))
        rig = self.rig(provider)
        result = await rig.run(rig.call(AGENT))
        assert (result.status, result.output, result.usage.model_calls) == ("failed", None, 2)
        assert result.failure is not None
        assert (result.failure.code, "/count" in result.failure.what) == ("schema", True)
        rig.require_sound_events()
