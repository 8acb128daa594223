"""The idx format of MNIST and Fashion-MNIST: two zero bytes, a type, the number of dimensions, their sizes, then the bytes.

LeCun, Cortes & Burges, "The MNIST database of handwritten digits"; big-endian; only unsigned bytes are read here.
"""

import gzip
import io
import math
import struct
import zlib

import numpy as np
import numpy.typing as npt

from genovision.errors import InputError

LIMIT = 1 << 30  # bytes of one array
_UNSIGNED_BYTE = 0x08


def read_idx(data: bytes, label: str, limit: int = LIMIT) -> npt.NDArray[np.uint8]:
    """The array in an idx file, plain or gzip; `label` is what an error message calls it.

    Raises InputError when the file is no idx of unsigned bytes, is cut short, has bytes to spare, or is larger than `limit`.
    """
    stream = gzip.GzipFile(fileobj=io.BytesIO(data)) if data[:2] == b"\x1f\x8b" else io.BytesIO(data)
    try:
        return _read(stream, label, limit)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{label} is cut short or damaged; fetch it again.") from error


def _read(stream, label: str, limit: int) -> npt.NDArray[np.uint8]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != _UNSIGNED_BYTE or not 1 <= magic[3] <= 4:
        raise InputError(f"{label} is no idx file of unsigned bytes; it begins with {magic.hex() or 'nothing'}.")
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise InputError(f"{label} is cut short inside its header; fetch it again.")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    expected = math.prod(shape)
    if expected > limit:
        raise InputError(f"{label} announces {expected} bytes, {limit} are allowed; is it the right file?")
    body = stream.read(expected + 1)
    if len(body) != expected:
        found = "more" if len(body) > expected else str(len(body))
        raise InputError(f"{label} announces {expected} bytes ({' x '.join(map(str, shape))}) and holds {found}.")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)
