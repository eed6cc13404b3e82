"""Check what this host can run, in two seconds instead of after twenty minutes of loading.

`probes/` read the host into facts, `checks/` judge the facts, `auto_fix.py` applies the few fixes that are safe.
"""
