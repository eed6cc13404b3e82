"""Recipe, request, host and image in; one launch plan with reasons, or a refusal, out. Pure."""
