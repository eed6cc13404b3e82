# vLLM on CUDA, installed from hashed wheels on top of python:3.12-slim or plain Debian; the CUDA libraries are wheels.
# Must build on Docker 20.10 without access to an image registry: do not use `# syntax`, heredocs or --link.
ARG BASE
# hadolint ignore=DL3006
FROM ${BASE}

# A C++ compiler stays in the image: at run time Triton compiles its launchers, FlashInfer and DeepGEMM their kernels
# (with nvcc, which is a wheel). The Debian base that Slipway makes already has the compiler.
ARG DEBIAN_PACKAGES="g++ libnuma1"
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008,SC2086
RUN --mount=type=secret,id=apt,target=/etc/apt/apt.conf.d/90builder \
    --mount=type=secret,id=ca,target=/run/builder-ca.crt \
    if ! command -v g++ > /dev/null; then \
        apt-get update && apt-get install -y --no-install-recommends ${DEBIAN_PACKAGES} \
        && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*; \
    fi; \
    echo 'vllm:x:2000:0:vLLM:/home/vllm:/bin/bash' >> /etc/passwd; \
    mkdir -p /home/vllm && chmod 1777 /home/vllm; \
    find / -xdev -type f -perm /6000 -exec chmod a-s {} +

# This layer is slow, so it changes only if the lock changes. Nothing that is mounted stays in the image.
RUN --mount=type=bind,source=uv,target=/run/uv \
    --mount=type=bind,source=wheels,target=/run/wheels \
    --mount=type=bind,source=install.sh,target=/run/install.sh \
    --mount=type=bind,source=strip_elf.py,target=/run/strip_elf.py \
    --mount=type=bind,source=requirements.txt,target=/run/platform/requirements.txt \
    --mount=type=bind,source=trim.sh,target=/run/platform/trim.sh \
    --mount=type=secret,id=pip,target=/run/builder-pip.env \
    --mount=type=secret,id=ca,target=/run/builder-ca.crt \
    --mount=type=cache,id=slipway-uv-cuda,target=/run/uv-cache \
    bash /run/install.sh
RUN rm -rf /run/uv-cache /run/wheels /run/platform /run/uv /run/*.sh /run/*.py /run/builder-*

# The NVIDIA container toolkit reads the two NVIDIA_ variables, which a plain base does not set.
ENV PATH=/opt/vllm/bin:/opt/vllm/cuda/bin:/usr/local/bin:/usr/bin:/bin \
    CUDA_HOME=/opt/vllm/cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    HOME=/home/vllm \
    USER=vllm \
    PYTHONUNBUFFERED=1 \
    VLLM_NO_USAGE_STATS=1

ARG LABELS_CHANNEL=""
ARG LABELS_LOCK=""
ARG LABELS_VLLM=""
ARG LABELS_COMMIT=""
LABEL org.opencontainers.image.title="vLLM on CUDA, from wheels" \
      org.opencontainers.image.version="${LABELS_VLLM}" \
      org.opencontainers.image.revision="${LABELS_COMMIT}" \
      slipway.platform="cuda" \
      slipway.channel="${LABELS_CHANNEL}" \
      slipway.lock="${LABELS_LOCK}"
USER 2000:0
WORKDIR /home/vllm
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=2700s \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=8)"]
ENTRYPOINT ["vllm", "serve"]
