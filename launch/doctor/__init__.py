"""What this host can do, found in two seconds instead of after twenty minutes of loading.

The `look_` modules look, the checks judge what was seen, `fix.py` does the little that is safe.
"""
