"""pip's own settings, handed on to uv, which reads none of them.

Without this a local folder of wheels, a mirror, a proxy or a certificate that pip knows of would be missed, and the
same pins could come from elsewhere or not at all.
"""

import ast
import os
import subprocess
import sys

# pip's setting -> uv's option, given once per word
OPTIONS = {
    "find-links": "--find-links",
    "index-url": "--default-index",
    "extra-index-url": "--index",
    "trusted-host": "--allow-insecure-host",
}
# pip's setting -> the variable by which uv hears of the same thing
VARIABLES = {
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}
# the order in which pip lets one source of a setting overrule the one before
SECTIONS = ("global", "install", ":env:")


def read() -> dict[str, str]:
    """The settings that `pip install` would use, by name: its files and PIP_* variables, merged as pip merges them."""
    command = [sys.executable, "-I", "-m", "pip", "config", "list", "--disable-pip-version-check"]
    return parse(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def parse(listed: str) -> dict[str, str]:
    """The same from the lines `section.name='value'` that `pip config list` prints."""
    settings = {}
    for section in SECTIONS:
        for line in listed.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(f"{section}."):
                settings[key.removeprefix(f"{section}.")] = ast.literal_eval(value)
    return settings


def for_uv(settings: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """The options and the environment by which uv does what pip would; what was told to uv itself (UV_*, SSL_*) stays.

    The constraint file is left out, since every version is pinned. uv takes a package from the first index that has it,
    pip looks at all of them; hence `unsafe-best-match` where there are several.
    """
    options = []
    for name, option in OPTIONS.items():
        options += [word for part in settings.get(name, "").split() for word in (option, part)]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        options.append("--no-index")
    if "extra-index-url" in settings:
        options += ["--index-strategy", "unsafe-best-match"]
    given = {VARIABLES[name]: value for name, value in settings.items() if name in VARIABLES and value}
    # a missing Python is never fetched: that would be a download from outside the package registries
    return options, {**given, "UV_PYTHON_DOWNLOADS": "never", **os.environ}
