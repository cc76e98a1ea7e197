"""New images from a trained diffusion run, as files, and compared with the data."""
