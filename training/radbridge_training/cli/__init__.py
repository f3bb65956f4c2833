"""`radbridge train`: the whole turn, each of its steps alone, and what became of it."""
