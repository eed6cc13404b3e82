"""The verbs: one module a room, each a few small invoke tasks that call the core and print."""
