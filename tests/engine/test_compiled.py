import pytest

from penstock.contracts.canonical import digest
from penstock.engine.compiled import CompiledRelease, ReleaseShelf
from penstock.engine.shape import Shape
from penstock.engine.work import read_output
from penstock.errors import Invalid
from penstock.testing.example_release import example_release

HISTORY = ({"role": "user", "content": "before"},)


def test_messages_are_system_history_and_input() -> None:
    release, body = example_release({"mode": "conversational"})
    system, before, user = CompiledRelease(release, body).messages("hello", HISTORY)
    assert system == {"role": "system", "content": "You are a clerk, and you answer in English."}
    assert (before, user) == (HISTORY[0], {"role": "user", "content": "hello"})


def test_workflow_has_no_history_and_an_object_is_canonical_json() -> None:
    release, body = example_release({"input": {"schema": {"type": "object"}}})
    _, user = CompiledRelease(release, body).messages({"b": 1.0, "a": "ä"}, HISTORY)
    assert user["content"] == '{"a":"ä","b":1}'


def test_prompt_variables_come_from_the_input() -> None:
    pointed = {"promptVariables": {"name": {"from": "/who/0"}, "language": "German"}, "input": {"schema": {}}}
    release, body = example_release(pointed)
    compiled = CompiledRelease(release, body)
    assert compiled.messages({"who": ["{{ language }}"]}, ())[0]["content"] == (
        "You are {{ language }}, and you answer in German."
    )
    with pytest.raises(Invalid) as refused:
        compiled.messages({"who": []}, ())
    assert [fault.pointer for fault in refused.value.faults] == ["/who/0"]


@pytest.mark.parametrize("tools", [{}, {"weather": {}, "tides": {}}])
@pytest.mark.parametrize("output", [{"type": "string"}, {"type": "object", "required": ["b", "a"]}])
def test_request_digest_is_that_of_the_canonical_request(
    tools: dict[str, dict[str, object]], output: dict[str, object]
) -> None:
    release, body = example_release(
        {"output": {"schema": output}}, tools=tools, model={"parameters": {"temperature": 0.5}}
    )
    compiled = CompiledRelease(release, body)
    (deployment,) = compiled.deployments
    for text in ("one", "zwölf", "three"):
        messages = compiled.messages(text, ())
        request = deployment.request(messages, compiled.offers, compiled.response_format)
        for offers in (compiled.offers, compiled.offers, tuple(compiled.offers), list(compiled.offers)):
            assert deployment.request_digest(messages, offers, compiled.response_format) == digest(request)
    fewer = deployment.request(messages, (), None)
    assert deployment.request_digest(messages, (), None) == digest(fewer)


def test_another_prompts_body_is_refused() -> None:
    release, body = example_release()
    with pytest.raises(Invalid, match="body"):
        CompiledRelease(release, body + b"!")


def test_a_schema_that_is_none_is_refused_and_none_is_fetched() -> None:
    release, body = example_release({"output": {"schema": {"type": "objekt"}}})
    with pytest.raises(Invalid, match="no JSON Schema"):
        CompiledRelease(release, body)
    with pytest.raises(Invalid, match="Retrieval is disabled"):
        Shape({"$ref": "https://127.0.0.1:9/schema.json"}, "here")


def test_a_release_is_compiled_once() -> None:
    shelf = ReleaseShelf()
    release, body = example_release()
    other, _ = example_release(name="other")
    assert shelf.take(release, body) is shelf.take(release, body)
    assert shelf.take(other, body).name == "other"


@pytest.mark.parametrize(
    ("schema", "text", "output", "sound"),
    [
        ({"type": "string"}, "[1]", "[1]", True),
        ({"type": "string", "maxLength": 2}, "long", "long", False),
        ({"type": "object"}, '{"a": 1}', {"a": 1}, True),
        ({"type": "object"}, "[1]", [1], False),
        ({"type": "object"}, '{"a": 12345678901234567890}', None, False),
        ({"type": "object"}, "```json\n{}\n```", None, False),
        ({"type": "array"}, "[1]", [1], True),
        ({}, "free text", "free text", True),
        ({"type": ["object", "array"]}, '{"a": 1}', {"a": 1}, True),
    ],
)
def test_output_text_is_read_as_the_schema_means_it(
    schema: dict[str, object], text: str, output: object, sound: bool
) -> None:
    value, faults = read_output(Shape(schema, "output"), text)
    assert (value, not faults) == (output, sound)
