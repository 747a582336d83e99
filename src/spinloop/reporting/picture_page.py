"""Pictures inside a page that needs no other file."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

_JPEG_QUALITY = 88


def page(title: str, sheets: Sequence[tuple[str, str]]) -> str:
    """A page that needs no other file.

    Args:
        title: of the page.
        sheets: caption and `data:` address of each picture.
    """
    figures = "\n".join(
        f'<figure><img src="{address}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
        for caption, address in sheets
    )
    style = (
        "body{font:16px/1.5 sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}img{max-width:100%}"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style></head>\n'
        f"<body><h1>{title}</h1>\n{figures}\n</body></html>\n"
    )


def data_uri(image: UInt8[np.ndarray, "H W 3"]) -> str:
    """The image as a `data:` address, so that a page needs no other file."""
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(image)).decode('ascii')}"


def encode_jpeg(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """JPEG bytes of an RGB image."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    is_encoded, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    if not is_encoded:
        raise RuntimeError("OpenCV could not encode a JPEG image")
    return data.tobytes()
