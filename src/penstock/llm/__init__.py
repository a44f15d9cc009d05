"""Model providers; the only importer of LiteLLM."""
