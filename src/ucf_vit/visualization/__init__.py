"""Pictures of data and of what a network is given."""
