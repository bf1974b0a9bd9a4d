"""Pictures of a result for people: three planes through what was found, and each key slice."""

from inference.rendering.encoding import png
from inference.rendering.key_slices import key_pictures
from inference.rendering.planes import WIDTH, overlay

__all__ = ["WIDTH", "key_pictures", "overlay", "png"]
