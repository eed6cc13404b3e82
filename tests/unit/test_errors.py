from errors import Failed, Refused, choice


def test_a_message_says_what_why_and_what_next():
    error = Failed("port 8000 is taken", why="nginx has it", fix="--port 8001")
    assert str(error) == "error: port 8000 is taken\n  why: nginx has it\n  next: --port 8001"
    assert error.code == 1


def test_an_unknown_value_is_refused_with_the_nearest_known_ones():
    error = choice("platform", "rocn", ("cpu", "cuda", "rocm"))
    assert isinstance(error, Refused)
    assert error.code == 2
    assert (
        str(error)
        == "error: unknown platform 'rocn'. Did you mean `rocm`?\n  next: choose from cpu, cuda, rocm"
    )


def test_where_nothing_is_near_all_are_named():
    assert "choose from cpu, cuda" in str(choice("platform", "xyz", ("cpu", "cuda")))
