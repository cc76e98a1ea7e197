"""Adaptive patching: small patches where there is detail; quadtree and octree are one 2^d-tree."""
