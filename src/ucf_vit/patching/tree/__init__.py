"""Adaptive patching: small patches where there is detail; quadtree and octree are one 2^d-tree.

What a library's user needs is in `ucf_vit.patching.adaptive`; nothing is imported here, since a config needs
`forest` alone, without torch.
"""
