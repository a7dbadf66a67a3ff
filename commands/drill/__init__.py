"""The failure drill: `python3 run.py drill` pulls every plug by a seeded plan and shows that the books balance."""
