"""Street scenes with pedestrians, rendered from a seed: `render(Settings(512, 1024), seed) -> image, people`."""

from streetscenes.scene import render
from streetscenes.settings import Kind, Person, Region, Settings, StreetError

__all__ = ["Kind", "Person", "Region", "Settings", "StreetError", "render"]
