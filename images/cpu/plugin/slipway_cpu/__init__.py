"""Patch vLLM 0.32 so that it can serve MiniMax-M2 on CPU. Only the CPU image includes this plugin.

Without it vLLM answers /health but exits on the first request (`assert scoring_func == "softmax"`). Three patches:

* Routing: sigmoid top-k with a correction bias runs as grouped top-k with a single group.
* Experts: the CPU kernel ignores `expert_map`. With expert parallelism, global expert ids are mapped to local ids,
  and experts of other ranks get weight 0.
* Communication: gloo cannot gather or scatter parts of unequal size, which data parallelism needs.

vLLM loads the plugin through its `vllm.general_plugins` entry point, once in every process.
"""

from __future__ import annotations

from typing import Any


def register() -> None:
    """Apply the patches. Safe to call more than once."""
    from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator
    from vllm.model_executor.layers.fused_moe.experts.cpu_moe import CPUUnquantizedExperts
    from vllm.model_executor.layers.fused_moe.router.cpu_router import CPURouter

    if getattr(CPURouter, "slipway", False):
        return
    CPURouter.slipway = True
    CPURouter._compute_routing = _sigmoid_as_one_group(CPURouter._compute_routing)
    CPUUnquantizedExperts.apply = _local_experts(CPUUnquantizedExperts.apply)
    CpuCommunicator.all_gatherv = _all_gatherv
    CpuCommunicator.reduce_scatterv = _reduce_scatterv


def _sigmoid_as_one_group(original: Any) -> Any:
    def compute_routing(self: Any, *args: Any, **kwargs: Any) -> Any:
        plain = not self.use_grouped_topk and self.custom_routing_function is None
        if plain and self.scoring_func == "sigmoid":
            self.use_grouped_topk, self.num_expert_group, self.topk_group = True, 1, 1
        return original(self, *args, **kwargs)

    return compute_routing


def _local_experts(original: Any) -> Any:
    import inspect

    signature = inspect.signature(original)

    def apply(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = signature.bind(self, *args, **kwargs)
        expert_map = call.arguments["expert_map"]
        if expert_map is not None:
            ids = expert_map.to(call.arguments["topk_ids"].dtype)[call.arguments["topk_ids"].long()]
            call.arguments["topk_weights"] = (
                call.arguments["topk_weights"].masked_fill(ids < 0, 0.0).contiguous()
            )
            call.arguments["topk_ids"] = ids.clamp(min=0).contiguous()
        return original(*call.args, **call.kwargs)

    return apply


def _all_gatherv(self: Any, input_: Any, dim: int = 0, sizes: list[int] | None = None) -> Any:
    """Concatenate the rows of all ranks; shorter parts are padded to the longest for the transfer."""
    if isinstance(input_, list):
        return [_all_gatherv(self, tensor, dim, sizes) for tensor in input_]
    import torch

    assert dim == 0, "only dim 0 is supported"
    sizes = sizes or [input_.shape[0]] * self.world_size
    longest = max(sizes)
    padded = input_.new_zeros((longest, *input_.shape[1:]))
    padded[: input_.shape[0]] = input_
    parts = [torch.empty_like(padded) for _ in sizes]
    torch.distributed.all_gather(parts, padded, group=self.cpu_group)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def _reduce_scatterv(self: Any, input_: Any, dim: int = -1, sizes: list[int] | None = None) -> Any:
    """Return this rank's rows of the sum over all ranks."""
    import torch

    assert dim == 0, "only dim 0 is supported"
    sizes = sizes or [input_.shape[0] // self.world_size] * self.world_size
    total = input_.clone()
    torch.distributed.all_reduce(total, group=self.cpu_group)
    start = sum(sizes[: self.rank_in_group])
    return total[start : start + sizes[self.rank_in_group]].contiguous()
