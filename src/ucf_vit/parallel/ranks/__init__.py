"""The processes of a run: groups, barriers, and the detection of lost ones."""
