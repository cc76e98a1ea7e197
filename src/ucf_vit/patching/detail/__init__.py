"""Where an image has detail: the maps that the trees of adaptive patching grow by."""
