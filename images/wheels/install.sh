#!/bin/bash
# Runs inside the build: the locked wheels into /opt/vllm, without what serving never reads, compiled.
set -euo pipefail

set -a
# Index, proxy and the like, as the builder's pip has them; the file may be empty.
[ ! -s /run/builder-pip.env ] || . /run/builder-pip.env
[ ! -s /run/builder-ca.crt ] || SSL_CERT_FILE=/run/builder-ca.crt
UV_CACHE_DIR=/run/uv-cache UV_LINK_MODE=${UV_LINK_MODE:-copy} UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never
set +a

/run/uv venv --quiet --no-project --python "$(command -v python3)" /opt/vllm
/run/uv pip install --python /opt/vllm/bin/python --find-links /run/wheels --require-hashes --no-deps \
    -r /run/platform/requirements.txt
site=$(echo /opt/vllm/lib/python3*/site-packages)

. /run/platform/trim.sh

# Nothing at run time reads these; torch_shm_manager stays, import torch looks for it.
rm -rf "$site"/torch/test "$site"/torch/include "$site"/torch/share "$site"/torch/lib/*.a
find "$site/torch/bin" -type f -not -name torch_shm_manager -delete
find "$site" -depth -type d -name tests -not -path '*/torch/*' -exec rm -rf {} +
find "$site/torch" -name '*.pyi' -delete
# Translations of country names; only their codes are looked up.
rm -rf "$site"/pycountry/locales
/opt/vllm/bin/python /run/strip_elf.py "$site"

# Without .pyc the first start takes 71 s instead of 40. Of the models in transformers one at most is imported; what
# cannot be compiled is a template.
/opt/vllm/bin/python -m compileall -q -j 0 -x '/transformers/models/|/torch/testing/|/templates?/' "$site" || true
chmod -R a+rX /opt/vllm
