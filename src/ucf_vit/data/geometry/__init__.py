"""Where the voxels of an item lie in space."""
