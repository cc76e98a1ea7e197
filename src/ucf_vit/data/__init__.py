"""Data sets, tiles, sampling order, augmentation and loading: from files to batches of one data rank."""
