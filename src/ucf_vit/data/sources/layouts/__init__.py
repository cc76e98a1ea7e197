"""Layouts of data sets with files of images and labels, one file each, and the readers of such files."""
