"""Whole files or none: write beside the target, then rename."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; rename it to `path` when the block ends without an exception.

    The temporary name keeps the target's suffixes (so that writers which go by the suffix work) and is removed on failure.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:  # a full disk is reported without a name: say which file could not be written
        error.filename = error.filename or str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)
