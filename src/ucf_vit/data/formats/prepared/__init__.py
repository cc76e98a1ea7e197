"""Files written by `ucf-vit prepare`: a manifest, and arrays in chunks and shards."""
