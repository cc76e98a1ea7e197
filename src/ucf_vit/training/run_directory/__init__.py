"""Directory of a run: its lock, the list of the run's own files, and its config."""

from ucf_vit.training.run_directory.lock import locked
from ucf_vit.training.run_directory.opening import described, open_directory, write_config
from ucf_vit.training.run_directory.owned import claim

__all__ = ["claim", "described", "locked", "open_directory", "write_config"]
