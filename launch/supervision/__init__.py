"""Keep a server running: notice a death or a hang, restart with back-off, and record what happened."""
