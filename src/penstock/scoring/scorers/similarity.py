"""Scorer `similarity`: how near the output's text is to an expected one, letter by letter or word by word."""

from collections.abc import Callable
from typing import Any, Literal

from penstock.errors import Unavailable
from penstock.scoring.scorer import Score, Scored, scorer
from penstock.scoring.scorers.expectation import SingularPath, expected_of, output_text, texts_of

Method = Literal["ratio", "levenshtein", "jaro-winkler", "token-sort", "token-set"]
Measure = Callable[[str, str], float]


@scorer("similarity", kind="score", revision=1, traits=["reads-expected"])
def similarity(
    scored: Scored,
    *,
    method: Method = "ratio",
    path: SingularPath = "$",
    expected: str | list[str] | None = None,
    expected_path: SingularPath = "$",
    ignore_case: bool = False,
) -> Score:
    """The similarity of the text at `path` to the nearest expected text, 0 (nothing in common) to 1 (equal).

    `ratio`: insertions and deletions (Indel); `levenshtein`: with substitutions; `jaro-winkler`: for short names;
    `token-sort`: words in any order; `token-set`: words in any order, those of one side alone count little. No text at
    `path` is 0. Raises `Unavailable` without the extra `evals`.
    """
    wanted = texts_of(scored.case, expected_of(scored, expected, expected_path))
    found = output_text(scored, path)
    if found is None:
        return Score(0.0, f"the output has no text at {path}")
    near = _measure(method)
    fold = str.casefold if ignore_case else str
    value = max(near(fold(found), fold(one)) for one in wanted)
    return Score(min(1.0, max(0.0, value)))


def _measure(method: Method) -> Measure:
    try:
        from rapidfuzz import distance, fuzz
    except ImportError:
        raise Unavailable(
            "the scorer `similarity` needs rapidfuzz", where="evals/", now="pip install 'penstock[evals]'"
        ) from None

    def percent(measure: Callable[..., float]) -> Measure:
        return lambda one, other: measure(one, other) / 100

    measures: dict[Method, Any] = {
        "ratio": distance.Indel.normalized_similarity,
        "levenshtein": distance.Levenshtein.normalized_similarity,
        "jaro-winkler": distance.JaroWinkler.normalized_similarity,
        "token-sort": percent(fuzz.token_sort_ratio),
        "token-set": percent(fuzz.token_set_ratio),
    }
    return measures[method]  # type: ignore[no-any-return]
