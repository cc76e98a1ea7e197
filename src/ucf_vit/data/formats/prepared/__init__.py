"""The files that `ucf-vit prepare` writes: a manifest, and arrays cut into chunks and shards."""
