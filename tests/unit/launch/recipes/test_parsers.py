"""The parsers of a model without a recipe, by model_type and chat template."""

from __future__ import annotations

import pytest

from launch.recipes.parsers import choose, rows

TOOLS = "{% if tools %}{{ tools }}{% endif %}"
THINK = TOOLS + "{{ '<think>' }}"


@pytest.mark.parametrize(
    ("model_type", "template", "tool", "reasoning"),
    [
        ("qwen3", THINK, "hermes", "qwen3"),
        ("qwen3_moe", TOOLS, "hermes", ""),
        ("qwen3_moe", TOOLS + "<function=", "qwen3_xml", ""),
        ("qwen3_next", THINK, "hermes", "qwen3"),
        ("qwen3_5_moe", THINK, "qwen3_coder", "qwen3"),
        ("qwen2", TOOLS + "<tool_call>", "hermes", ""),
        ("deepseek_v3", TOOLS, "deepseek_v3", ""),
        ("deepseek_v3", THINK, "deepseek_v3", "deepseek_r1"),
        ("deepseek_v3", TOOLS + "{% if thinking %}", "deepseek_v31", "deepseek_v3"),
        ("deepseek_v32", "", "deepseek_v32", "deepseek_v3"),
        ("deepseek_v4", "", "deepseek_v4", "deepseek_v4"),
        ("kimi_k2", TOOLS, "kimi_k2", ""),
        ("glm4_moe", THINK, "glm45", "glm45"),
        ("glm4_moe", THINK + "<tool_call>{function-name}<arg_key>", "glm47", "glm45"),
        ("glm_moe_dsa", THINK, "glm47", "glm45"),
        ("minimax_m2", THINK, "minimax_m2", "minimax_m2"),
        ("gemma4", THINK, "gemma4", "gemma4"),
        ("mistral3", TOOLS, "mistral", ""),
        ("gpt_oss", THINK, "openai", ""),
        ("nemotron_h", THINK + "<function=", "qwen3_xml", "nemotron_v3"),
        ("nemotron_h", THINK, "", ""),
        ("lfm2_moe", TOOLS, "lfm2", ""),
        ("llama", TOOLS + '{"name": function name, "parameters": ', "llama3_json", ""),
        ("llama", TOOLS + "<tool_call>", "hermes", ""),
        ("llama", TOOLS, "", ""),
        ("qwen3", "{{ messages }}", "", ""),
        ("qwen3", "", "", ""),
        ("of_tomorrow", THINK, "", ""),
    ],
)
def test_choose_takes_the_parsers_of_the_family(
    model_type: str, template: str, tool: str, reasoning: str
) -> None:
    chosen = choose(model_type, template)
    assert (chosen.tool, chosen.reasoning) == (tool, reasoning)


def test_every_row_has_a_source_and_a_parser() -> None:
    assert all(row.source and (row.tool or row.reasoning) for row in rows())
