"""similarity and embedding: near texts, letter by letter and by meaning."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.word_vectors import TENSOR, TOKENIZER, WEIGHTS, load_vectors
from penstock.errors import Unavailable
from penstock.scoring.scorer import Score, ScorerFailed
from penstock.scoring.scorers.similarity import Method, similarity
from penstock.testing.example_trial import example_scored

Judge = Callable[..., Awaitable[Score]]
METHODS: tuple[Method, ...] = get_args(Method)


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("ratio", 8 / 13),  # 8 of 13 letters stay: Indel distance 5
        ("levenshtein", 1 - 3 / 7),  # the textbook's kitten -> sitting: 3 edits of 7
        ("jaro-winkler", 0.746031746031746),  # 4 of 6 and of 7 letters match; no common prefix
        ("token-sort", 8 / 13),
        ("token-set", 8 / 13),
    ],
)
async def test_known_values(judge: Judge, method: Method, value: float) -> None:
    score = await judge("similarity", example_scored("kitten", expected="sitting"), {"method": method})
    assert score.value == pytest.approx(value, abs=1e-9)


async def test_words_in_any_order(judge: Judge) -> None:
    scored = example_scored("beta alpha", expected="alpha beta")
    assert (await judge("similarity", scored, {"method": "token-sort"})).value == 1.0
    assert (await judge("similarity", scored, {"method": "ratio"})).value != 1.0
    longer = example_scored("alpha beta and much more", expected="alpha beta")
    assert (await judge("similarity", longer, {"method": "token-set"})).value == 1.0


async def test_the_nearest_of_several_expected_texts_counts(judge: Judge) -> None:
    scored = example_scored({"text": "ABC"}, expected=["xyz", "abc"])
    assert (await judge("similarity", scored, {"path": "$.text", "ignoreCase": True})).value == 1.0
    assert (await judge("similarity", scored, {"path": "$.text"})).value == 0.0


@pytest.mark.parametrize("name", ["similarity", "embedding"])
async def test_no_text_is_nothing_and_no_expectation_is_no_score(judge: Judge, name: str) -> None:
    outputs: list[Any] = [None, 5, {}, ["a"]]
    for output in outputs:
        score = await judge(name, example_scored(output, expected="a"))
        assert (score.value, bool(score.reason)) == (0.0, True)
    cases: list[dict[str, Any]] = [
        {},
        {"expected": 5},
        {"expected": []},
        {"expected": ["a", 5]},
        {"expected": "x" * 100_001},
    ]
    for case in cases:
        with pytest.raises(ScorerFailed, match="case one"):
            await judge(name, example_scored("a", **case))


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20), st.sampled_from(METHODS))
def test_similarity_is_a_symmetric_share(one: str, other: str, method: Method) -> None:
    def near(output: str, expected: str) -> float:
        score = similarity(example_scored(output), expected=expected, method=method)
        assert isinstance(score, Score)
        assert isinstance(score.value, float)
        return score.value

    assert 0.0 <= near(one, other) <= 1.0
    assert near(one, other) == pytest.approx(near(other, one))
    if one.split():
        assert near(one, one) == 1.0


async def test_meaning_is_nearer_than_letters(judge: Judge) -> None:
    async def near(one: str, other: str) -> Any:
        return (await judge("embedding", example_scored(one, expected=other))).value

    related = await near("The customer cannot sign in.", "Users are unable to log on.")
    unrelated = await near("The customer cannot sign in.", "Bananas ripen in warm weather.")
    assert related > unrelated + 0.2
    assert await near("a sentence", "a sentence") == pytest.approx(1.0)
    assert await near("  ", "a sentence") == 0.0


async def test_an_empty_expected_text_means_nothing(judge: Judge) -> None:
    with pytest.raises(ScorerFailed, match="empty text"):
        await judge("embedding", example_scored("a", expected=["b", " "]))


def test_vectors_are_those_of_the_package() -> None:
    # The package's own mean of token vectors, with our loader's files: its loader would ask the network.
    script = f"""
import importlib.util, json, pathlib
from safetensors import safe_open
from tokenizers import Tokenizer
from wordllama.inference import WordLlamaInference
folder = pathlib.Path(importlib.util.find_spec("wordllama").origin).parent
with safe_open(folder / {WEIGHTS!r}, framework="np") as tensors:
    model = WordLlamaInference(tensors.get_tensor({TENSOR!r}), Tokenizer.from_file(str(folder / {TOKENIZER!r})))
print(json.dumps(model.embed(["The customer cannot sign in.", "x"]).tolist()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout)
    for text, vector in zip(["The customer cannot sign in.", "x"], theirs, strict=True):
        assert load_vectors().vector(text).tolist() == pytest.approx(vector, abs=1e-5)


def test_no_network_is_asked_and_its_code_is_not_imported() -> None:
    script = """
import socket, sys
def refuse(*args, **kwargs):
    raise SystemExit("a network was asked")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from penstock.engine.word_vectors import load_vectors
assert load_vectors().cosine("a cat", "a cat") > 0.99
print(sorted({"wordllama", "requests"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


async def test_a_missing_extra_says_how_to_get_it(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidfuzz", None)
    with pytest.raises(Unavailable) as refused:
        await judge("similarity", example_scored("a", expected="a"))
    assert refused.value.now == "pip install 'penstock[evals]'"
    load_vectors.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable) as refused:
        await judge("embedding", example_scored("a", expected="a"))
    assert refused.value.now == "pip install 'penstock[embeddings]'"
