"""Where things that can be made again are kept between runs."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Return a folder of geomon's among the user's caches; it may not exist yet.

    That is ``geomon/NAME`` below XDG_CACHE_HOME, or below ``~/.cache`` (XDG Base Directory
    Specification 0.8).
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "geomon", name)
