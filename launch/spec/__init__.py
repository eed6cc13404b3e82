"""The data that all other packages share: plan, inputs, vLLM arguments, model config, GPU catalog. Pure."""
