"""The data of a run: its data sets, their statistics, and the plan of which rank reads what."""
