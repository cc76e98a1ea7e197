"""The directory of a run: who trains there, which files are the run's own, and how it is opened."""

from ucf_vit.train.rundir.lock import locked
from ucf_vit.train.rundir.opening import described, open_directory, write_config
from ucf_vit.train.rundir.owned import claim

__all__ = ["claim", "described", "locked", "open_directory", "write_config"]
