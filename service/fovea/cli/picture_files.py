"""Pictures from files and into files."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from fovea.contract.errors import InvalidRequest
from fovea.inputs.pictures import open_picture


def read_picture(path: Path) -> Image.Image:
    """Load a picture of any format upright, as L, RGB or RGBA; InvalidRequest where it is none."""
    try:
        return open_picture(path)
    except InvalidRequest as error:
        raise InvalidRequest(f"{path}: {error}") from error


def require_writable(path: Path) -> None:
    """InvalidRequest where no picture can be written there: the ending is no format's, or there is no folder."""
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise InvalidRequest(f"{path} cannot be written: expected an ending such as .png or .jpg")
    if not path.parent.is_dir():
        raise InvalidRequest(f"{path} cannot be written: there is no folder {path.parent}")


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write it in the format that the name's ending tells; InvalidRequest where that cannot be done."""
    try:
        picture.save(path)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error
