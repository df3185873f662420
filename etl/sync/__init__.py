"""What this project exists for: reading a list that moves, proof that it is whole, the update."""
