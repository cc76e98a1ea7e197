"""Start of the processes of a run: launchers, devices, process groups."""

from ucf_vit.train.launch.device import pick_device
from ucf_vit.train.launch.find import find_place, world_size
from ucf_vit.train.launch.local import spawn
from ucf_vit.train.launch.processes import start, world_of
from ucf_vit.train.launch.rank import Place

__all__ = ["Place", "find_place", "pick_device", "spawn", "start", "world_of", "world_size"]
