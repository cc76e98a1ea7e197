"""Synthetic CT volumes of concrete with a label per voxel: a data set that needs no download."""

from ucf_vit.synthetic.volume import CLASS_NAMES, MIN_SIDE, make_volume
from ucf_vit.synthetic.write import parse_size, write_dataset

__all__ = ["CLASS_NAMES", "MIN_SIDE", "make_volume", "parse_size", "write_dataset"]
