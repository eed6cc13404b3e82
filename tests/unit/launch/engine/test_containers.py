from dataclasses import replace

import pytest

from launch.engine.containers import name_of, url_of
from launch.spec.plan import Container, Layout, Plan, Port, Process

PLAN = Plan(
    model="MiniMaxAI/MiniMax-M2.1",
    platform="cuda",
    image="i:1",
    vllm_version="0.32.0",
    strategy="single_node_tp",
    layout=Layout(tp=4),
    processes=(Process("server", 0, ("vllm", "serve", "MiniMaxAI/MiniMax-M2.1")),),
    container=Container(ports=(Port("127.0.0.1", 8001, 8000),)),
)


def test_a_container_is_called_after_its_model():
    assert name_of(PLAN) == "slipway-minimax-m2.1"


def test_a_plan_that_names_its_container_is_heeded():
    assert name_of(replace(PLAN, container=Container(name="MiniMax-M2"))) == "MiniMax-M2"


@pytest.mark.parametrize(
    ("ports", "url"),
    [
        ((Port("127.0.0.1", 8001, 8000),), "http://127.0.0.1:8001"),
        ((Port("0.0.0.0", 8001, 8000),), "http://127.0.0.1:8001"),
        ((), "http://127.0.0.1:8000"),
    ],
)
def test_the_address_on_this_host(ports, url):
    assert url_of(replace(PLAN, container=Container(ports=ports))) == url


def test_two_plans_with_the_same_words_have_one_digest_whatever_their_reasons():
    assert replace(PLAN, notes=("a remark",)).digest == PLAN.digest
    assert replace(PLAN, image="i:2").digest != PLAN.digest
