"""Scorer `embedding`: how near the output's meaning is to an expected text's, by word vectors."""

from penstock.engine.word_vectors import load_vectors
from penstock.scoring.scorer import Score, Scored, scorer
from penstock.scoring.scorers.expectation import SingularPath, expected_of, lacking, output_text, texts_of


@scorer("embedding", kind="score", revision=1, traits=["reads-expected"])
def embedding(
    scored: Scored,
    *,
    path: SingularPath = "$",
    expected: str | list[str] | None = None,
    expected_path: SingularPath = "$",
) -> Score:
    """The cosine of the text at `path` and the nearest expected text, from 0 (unrelated or opposed) to 1.

    No text at `path`, or an empty one, is 0. Never asks a network. Raises `Unavailable` without the extra `embeddings`.
    """
    wanted = texts_of(scored.case, expected_of(scored, expected, expected_path))
    if not all(one.strip() for one in wanted):
        raise lacking(scored.case, "an empty text is expected, which means nothing")
    found = output_text(scored, path)
    if found is None or not found.strip():
        return Score(0.0, f"the output has no text at {path}")
    model = load_vectors()
    value = max(model.cosine(found, one) for one in wanted)
    return Score(min(1.0, max(0.0, value)))
