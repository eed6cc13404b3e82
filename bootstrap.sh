#!/bin/sh
# Makes the virtual environment with everything in it; installs python3-venv first where Debian left it out.
set -eu
venv=$1
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "error: python3 has no venv module; next: install your distribution's python3-venv package" >&2
        exit 1
    fi
    echo "installing python3-venv (python3 has no ensurepip) ..." >&2
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >&2
fi
echo "making $venv from requirements/dev.txt ..." >&2
rm -rf "$venv"
python3 -m venv "$venv"
[ -t 2 ] && quiet= || quiet=-qq
# shellcheck disable=SC2086  # no word at all on a terminal, where pip shows its bars
"$venv/bin/python" -m pip install $quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
