"""Start of the processes of a run: launchers, devices, process groups."""

from ucf_vit.training.launch.device import pick_device
from ucf_vit.training.launch.find import find_place, world_size
from ucf_vit.training.launch.local import spawn
from ucf_vit.training.launch.mode_simple import in_mode_simple
from ucf_vit.training.launch.processes import start, world_of
from ucf_vit.training.launch.rank import Place

__all__ = ["Place", "find_place", "in_mode_simple", "pick_device", "spawn", "start", "world_of", "world_size"]
