"""The lean transport: straight to an endpoint that speaks OpenAI's chat protocol, without LiteLLM."""
