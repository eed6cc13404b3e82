from errors import Failed, Refused, choice


def test_a_message_has_what_why_and_next() -> None:
    error = Failed("port 8000 is taken", why="nginx has it", fix="--port 8001")
    assert str(error) == "error: port 8000 is taken\n  why: nginx has it\n  next: --port 8001"
    assert error.code == 1


def test_choice_names_the_nearest_value_and_lists_a_few() -> None:
    error = choice("platform", "rocn", ("cpu", "cuda", "rocm"))
    assert isinstance(error, Refused)
    assert error.code == 2
    assert (
        str(error)
        == "error: unknown platform 'rocn'. Did you mean `rocm`?\n  next: choose from cpu, cuda, rocm"
    )


def test_choice_lists_all_values_if_none_is_near() -> None:
    assert "choose from cpu, cuda" in str(choice("platform", "xyz", ("cpu", "cuda")))


def test_choice_names_only_the_nearest_of_many() -> None:
    many = tuple(f"gpu{number}00" for number in range(1, 10))
    assert choice("hardware", "gpu10", many).fix == ""
    assert "Did you mean `gpu100`" in str(choice("hardware", "gpu10", many))


def test_choice_ignores_case() -> None:
    assert "Did you mean `json`?" in str(choice("--format value", "JSON", ("text", "json")))
    assert "Did you mean `A/B-C`?" in str(choice("model", "a/b-c", ("A/B-C",)))


def test_a_message_shortens_long_words() -> None:
    text = str(Refused(f"unknown name '{'x' * 100_000}'", why="w" * 999))
    assert len(text) < 1300
    assert f"unknown name '{'x' * 99}..." in text
    assert "w" * 999 in text
