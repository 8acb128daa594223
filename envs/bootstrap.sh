# Sourced by ./run, ./test and envs/lock from the root of the repository: makes the Python environments they start in.
# bash 3.2 and POSIX tools are enough, so that it runs wherever Python does.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

stop() {
    say "$@"
    exit 1
}

# The first Python >= 3.11 with venv; PYTHON=python3.12 ./run chooses another. Not all on PATH run: a shim may not.
find_python() {
    local candidate without_venv=''
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3; do
        if "$candidate" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            if "$candidate" -I -c 'import ensurepip, venv' 2>/dev/null; then
                printf '%s\n' "$candidate"
                return
            fi
            without_venv=$candidate
        fi
        if [ -n "${PYTHON-}" ]; then break; fi
    done
    if [ -n "$without_venv" ]; then
        stop "$without_venv has no venv module; install it (on Debian: apt-get install python3-venv), then start again."
    elif [ -n "${PYTHON-}" ]; then
        stop "PYTHON=$PYTHON names no Python >= 3.11; correct it or leave it out, then start again."
    fi
    stop "no Python >= 3.11 found (tried python3.11, python3.12, python3.13, python3); install one, then start again."
}

# make_environment FOLDER LOCK: a virtual environment holding exactly the `==` list LOCK. The copy of LOCK inside it,
# made last, says that it is whole: after a killed set-up or a changed lock it is made anew, else this costs nothing.
make_environment() {
    local folder=$1 lock=$2 python
    if [ -x "$folder/bin/python" ] && cmp -s -- "$lock" "$folder/lock.txt"; then return; fi
    if command -v flock >/dev/null; then # two first starts at once: the second waits, then finds it done
        exec 9<envs
        flock 9 2>/dev/null || true # some network file systems cannot
        if [ -x "$folder/bin/python" ] && cmp -s -- "$lock" "$folder/lock.txt"; then
            exec 9<&-
            return
        fi
    fi
    python=$(find_python) || exit 1
    say "making $folder from $lock with $("$python" --version 2>&1) (once, about half a minute)"
    rm -rf -- "$folder"
    # pip reads the user's own configuration; -I keeps PYTHONPATH and the current folder out
    if ! { "$python" -I -m venv -- "$folder" &&
        "$folder/bin/python" -I -m pip install -qq --no-user --no-input --no-deps --disable-pip-version-check \
            -r "$lock" &&
        { ! grep -q '^torch==' -- "$lock" || # a build of torch for GPUs brings its own libraries
            "$folder/bin/python" -I -m pip install -qq --no-input --disable-pip-version-check -r "$lock"; } &&
        "$folder/bin/python" -I -m pip check -qq --disable-pip-version-check; } >&2; then
        rm -rf -- "$folder"
        stop "could not install $lock; pip's own message is above."
    fi
    cp -- "$lock" "$folder/lock.txt"
    exec 9<&-
}
