# Sourced by install.sh with $site set. shellcheck shell=bash disable=SC2154
# Static libraries that no kernel compiled at run time is linked with (nvcc wants cudart_static and cudadevrt).
find "$site" -name '*.a' -not -name 'libcudart_static.a' -not -name 'libcudadevrt.a' -delete
# nvcc, its headers and libraries as one CUDA_HOME.
ln -s "$(dirname "$(dirname "$(find "$site/nvidia" -name nvcc -path '*/bin/*' | head -1)")")" /opt/vllm/cuda
