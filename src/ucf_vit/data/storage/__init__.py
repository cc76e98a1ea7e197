"""Access to files by path or URL, with copies of remote files on the local disk."""

from ucf_vit.core.files.urls import is_remote, join, name_of
from ucf_vit.data.storage.cache import Cache
from ucf_vit.data.storage.failures import MissingError, Patience
from ucf_vit.data.storage.files import CONCURRENCY, Files

__all__ = ["CONCURRENCY", "Cache", "Files", "MissingError", "Patience", "is_remote", "join", "name_of"]
