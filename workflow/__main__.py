"""Run one command of the workflow: `python workflow <story>/<command> [options]`, for example
`python workflow promoters/cut_windows --help`.

A command is a file `scripts/<story>/<command>.py` with `parser()` and `main(args)`. This is the one place where a command
meets the outside: the log gets the interpreter's name, bad input becomes one sentence and exit code 2, and a bug keeps its traceback.
"""

import importlib.util
import re
import sys
from pathlib import Path

from genovision.errors import InputError

SCRIPTS = Path(__file__).resolve().parent / "scripts"


def load(command: str):
    """The module behind `<story>/<command>`; InputError lists the commands when there is none of that name."""
    path = SCRIPTS / f"{command}.py"
    if not re.fullmatch(r"[a-z_0-9]+/[a-z_0-9]+", command) or not path.is_file():
        known = sorted(f"{p.parent.name}/{p.stem}" for p in SCRIPTS.glob("*/*.py"))
        raise InputError(f"there is no command {command!r}; the commands are {', '.join(known)}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(argv: list[str]) -> int:
    """Run the command named by argv[0] with the options behind it; returns the exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0
    print(f"interpreter: {sys.executable} (Python {sys.version.split()[0]})", file=sys.stderr, flush=True)
    try:
        module = load(argv[0])
        parser = module.parser()
        parser.prog = f"python workflow {argv[0]}"
        module.main(parser.parse_args(argv[1:]))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        print(f"error: {error.filename or 'file system'}: {error.strerror}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
