"""Files: paths and URLs as users write them, atomic writes, digests, and names."""
