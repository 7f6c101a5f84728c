"""LLM providers, structured output and embedders."""
