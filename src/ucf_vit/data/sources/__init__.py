"""Data sources, one file per kind of data set."""

from ucf_vit.data.sources.catsdogs import CatsDogs
from ucf_vit.data.sources.dicom import Dicom
from ucf_vit.data.sources.fields import Fields
from ucf_vit.data.sources.imagenet import ImageNet
from ucf_vit.data.sources.layouts.basic_ct import BasicCT
from ucf_vit.data.sources.npy_pairs import NpyPairs
from ucf_vit.data.sources.prepared import Prepared
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
    "value_options",
]
