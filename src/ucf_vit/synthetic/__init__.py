"""Concrete-like CT volumes with a label per voxel, made from a seed: a data set that needs no download."""

from ucf_vit.synthetic.volume import CLASS_NAMES, SHORTEST, make_volume
from ucf_vit.synthetic.write import parse_size, write_dataset

__all__ = ["CLASS_NAMES", "SHORTEST", "make_volume", "parse_size", "write_dataset"]
