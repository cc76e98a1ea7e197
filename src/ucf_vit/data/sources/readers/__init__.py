"""Readers of file formats behind one interface, for the layouts of data sets."""
