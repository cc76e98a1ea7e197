"""Distribution of a task over processes. Uses the blocks of networks, but no model, task or data."""
