"""Files wherever they are: local paths and URLs alike, copies of remote ones kept on the local disk."""

from ucf_vit.data.storage.files import Files
from ucf_vit.data.storage.paths import is_remote, join

__all__ = ["Files", "is_remote", "join"]
