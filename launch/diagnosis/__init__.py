"""The parts of `launch/diagnosis/diagnose.py`: read a log, find its first failure, name it, change the plan."""
