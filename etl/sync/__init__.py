"""What this project exists for.

Reading a list that moves, proving that it was read whole, and bringing the tables up to date.
"""
