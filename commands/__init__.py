"""The verbs: options in, text or JSON out. The work is done in `launch/` and `images/`."""
