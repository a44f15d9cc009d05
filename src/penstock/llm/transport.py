"""TransportProvider: the model door's far side. Each call goes by the transport that its model's spec names."""

from collections.abc import Mapping

from penstock.contracts.release import Release
from penstock.llm.lean.provider import LeanProvider
from penstock.llm.provider import LiteLLMProvider
from penstock.pal import ModelAnswer, ModelCall, ModelProvider


class TransportProvider:
    """All transports behind one provider; LiteLLM is imported by the first call that goes by it, and not before."""

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self._lean = LeanProvider(secrets)
        self._transports: dict[str, ModelProvider] = {
            "litellm": LiteLLMProvider(secrets),
            "openai-compatible": self._lean,
        }

    async def complete(self, call: ModelCall) -> ModelAnswer:
        """The answer. Raises `ModelFailed`, never with a secret's value in it; a cancel closes the connection."""
        return await self._transports[call.transport].complete(call)

    async def aclose(self) -> None:
        """Closes the lean transport's connections of the running loop; LiteLLM keeps its own."""
        await self._lean.close()


def needs_litellm(release: Release) -> bool:
    """Whether one of the release's models is asked by LiteLLM."""
    return any(model.spec.transport == "litellm" for model in release.models)
