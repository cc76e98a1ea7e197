"""From the order of an epoch to batches: reading, augmentation, trees, worker processes."""
