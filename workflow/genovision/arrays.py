"""Named arrays on disk (.npz): written whole or not at all, the same bytes for the same arrays, and never read through pickle."""

import os
import zipfile
import zlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from genovision.atomic import replacing
from genovision.errors import InputError


def write_arrays(path: str | os.PathLike, **arrays: npt.ArrayLike) -> None:
    """Write an uncompressed .npz (compressed bytes would depend on the zlib at hand); object arrays raise ValueError."""
    found = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in found.items():
        if array.dtype.hasobject:
            raise ValueError(f"array {name} holds Python objects")
    with replacing(path) as temporary, open(temporary, "wb") as sink:
        np.savez(sink, **found)


def read_arrays(path: str | os.PathLike, names: Iterable[str] | None = None) -> dict[str, npt.NDArray]:
    """The named arrays of an .npz (all of them when no names are given), at their own dtype.

    Raises InputError when the file is no whole .npz, lacks one of the names, or holds pickled objects, which could run code on loading.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{path} is a single array, not an .npz of named arrays.")
        with archive:
            wanted = list(archive.files if names is None else names)
            missing = [name for name in wanted if name not in archive.files]
            if missing:
                known = ", ".join(archive.files) or "none"
                raise InputError(f"{path} has no array {', '.join(missing)}; it has {known}.")
            return {name: archive[name] for name in wanted}
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path} is no whole .npz file; write it again.") from error
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise InputError(f"{path} is no .npz of plain arrays; pickled objects are not loaded.") from error
        raise InputError(f"{path} is no whole .npz file ({error}); write it again.") from error
