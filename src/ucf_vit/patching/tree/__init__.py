"""Adaptive patching with quadtrees and octrees: small patches where there is detail.

The public functions are in `ucf_vit.patching.adaptive`. Nothing is imported here, since configs only need
`forest`, which works without torch.
"""
