"""Kinds of data sets, one per file. Importing this package registers the built-in ones."""

from ucf_vit.data.sources.basic_ct import BasicCT
from ucf_vit.data.sources.catsdogs import CatsDogs
from ucf_vit.data.sources.dicom import Dicom
from ucf_vit.data.sources.fields import Fields
from ucf_vit.data.sources.imagenet import ImageNet
from ucf_vit.data.sources.npy_pairs import NpyPairs
from ucf_vit.data.sources.prepared import Prepared
from ucf_vit.data.sources.resolve import source_of
from ucf_vit.data.sources.source import SOURCES, Item, Source, value_options
from ucf_vit.data.sources.tiff import Tiff

__all__ = [
    "SOURCES",
    "BasicCT",
    "CatsDogs",
    "Dicom",
    "Fields",
    "ImageNet",
    "Item",
    "NpyPairs",
    "Prepared",
    "Source",
    "Tiff",
    "source_of",
    "value_options",
]
