# Sourced by install.sh with $site set. shellcheck shell=bash disable=SC2154
# Static libraries that no kernel compiled at run time is linked with (nvcc wants cudart_static and cudadevrt).
find "$site" -name '*.a' -not -name 'libcudart_static.a' -not -name 'libcudadevrt.a' -delete
# Nobody links with these: several GPUs in one solver, a second compiler library, the profiler's counters.
find "$site/nvidia" -regextype posix-extended \
    -regex '.*/lib(cusolverMg|cufftw|nvperf_host|nvperf_target|nvrtc\.alt|nvrtc-builtins\.alt)\.so.*' -delete
# nvcc, its headers and libraries as one CUDA_HOME.
ln -s "$(dirname "$(dirname "$(find "$site/nvidia" -name nvcc -path '*/bin/*' | head -1)")")" /opt/vllm/cuda
