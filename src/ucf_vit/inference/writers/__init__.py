"""Files of predictions of each kind of task: which are written for an item, and which exist."""

from ucf_vit.inference.writers.choose import writer_of
from ucf_vit.inference.writers.reconstruction import reconstruction_files, write_reconstruction
from ucf_vit.inference.writers.writer import Writer

__all__ = ["Writer", "reconstruction_files", "write_reconstruction", "writer_of"]
