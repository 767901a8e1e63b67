"""What the gallery gives its examples on their command lines."""

import tempfile
from typing import Any

FOLDER = tempfile.TemporaryDirectory(prefix="neuromem-gallery-")


def quick_form(gallery_conf: dict[str, Any], script_vars: dict[str, Any]) -> list[str]:
    """Run every example in its quick form; what it saves goes to a folder that is removed at the end."""
    return ["--quick", "--out", FOLDER.name]
