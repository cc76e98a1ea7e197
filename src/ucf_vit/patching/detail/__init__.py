"""Maps of the detail in an image, which determine where the trees of adaptive patching are split."""
