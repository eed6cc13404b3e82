"""The data that all other packages pass on: plan, inputs, vLLM arguments, model config, GPU catalog. Pure."""
