"""Diagnose failed starts: parse the log, find the root cause, name its fix, apply the fix to a plan."""
