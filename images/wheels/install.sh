#!/bin/bash
# Runs inside the build: install the locked wheels in /opt/vllm, delete what serving never reads, compile to bytecode.
set -euo pipefail

set -a
# pip settings of the build host (index, proxy, ...); the file may be empty.
[ ! -s /run/builder-pip.env ] || . /run/builder-pip.env
[ ! -s /run/builder-ca.crt ] || SSL_CERT_FILE=/run/builder-ca.crt
UV_CACHE_DIR=/run/uv-cache UV_LINK_MODE=${UV_LINK_MODE:-copy} UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never
set +a

/run/uv venv --quiet --no-project --python "$(command -v python3)" /opt/vllm
/run/uv pip install --python /opt/vllm/bin/python --find-links /run/wheels --require-hashes --no-deps \
    -r /run/platform/requirements.txt
site=$(echo /opt/vllm/lib/python3*/site-packages)

. /run/platform/trim.sh

# Not read at run time. torch_shm_manager must stay: `import torch` looks for it.
rm -rf "$site"/torch/test "$site"/torch/include "$site"/torch/share "$site"/torch/lib/*.a
find "$site/torch/bin" -type f -not -name torch_shm_manager -delete
find "$site" -depth -type d -name tests -not -path '*/torch/*' -exec rm -rf {} +
find "$site/torch" -name '*.pyi' -delete
# Translations of country names; only country codes are looked up.
rm -rf "$site"/pycountry/locales
/opt/vllm/bin/python /run/strip_elf.py "$site"

# Without .pyc files the first start takes 71 s instead of 40 s. A server imports at most one model of transformers, so
# those are skipped. compileall fails on template files, so its exit status is ignored.
/opt/vllm/bin/python -m compileall -q -j 0 -x '/transformers/models/|/torch/testing/|/templates?/' "$site" || true
chmod -R a+rX /opt/vllm
