"""Programs on the tables, under an OA's lease: undo, forget, copy, verify."""
