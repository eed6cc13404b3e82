"""Model weights in the Hugging Face cache: fetch, verify, and bundle them for offline hosts."""
