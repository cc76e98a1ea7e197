"""The sections of a config, one file each: every key with its type, default and description."""
