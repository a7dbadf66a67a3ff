"""The failure drill: `python run.py drill` pulls every plug by a seeded plan and shows that the books balance."""
