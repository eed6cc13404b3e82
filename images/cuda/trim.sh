# Sourced by install.sh with $site set. shellcheck shell=bash disable=SC2154
# Static libraries are not needed, except the two that nvcc links into kernels at run time.
find "$site" -name '*.a' -not -name 'libcudart_static.a' -not -name 'libcudadevrt.a' -delete
# vLLM does not use these: the multi-GPU solver, cufftw, the profiler's counters and nvrtc's alternative build.
find "$site/nvidia" -regextype posix-extended \
    -regex '.*/lib(cusolverMg|cufftw|nvperf_host|nvperf_target|nvrtc\.alt|nvrtc-builtins\.alt)\.so.*' -delete
# CUDA_HOME: nvcc with its headers and libraries.
ln -s "$(dirname "$(dirname "$(find "$site/nvidia" -name nvcc -path '*/bin/*' | head -1)")")" /opt/vllm/cuda
