"""The failure drill: `python3 run.py drill` injects faults by a seeded plan and verifies that the books balance."""
