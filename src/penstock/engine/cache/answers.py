"""AnswerCache: what runs answered, given again to inputs that mean the same."""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from penstock.contracts.caching import SemanticCache
from penstock.contracts.canonical import canonical, digest
from penstock.engine.cache.input_form import InputForm
from penstock.engine.cache.shelf import CacheShelf
from penstock.engine.run import Run
from penstock.engine.word_vectors import Vectors, load_vectors
from penstock.errors import Unavailable

HitKind = Literal["exact", "similar"]
_NEVER = object()


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An output that was given before; `similarity` of the two inputs is 1 where they are equal."""

    output: Any
    kind: HitKind
    similarity: float


@dataclass(frozen=True, slots=True)
class _Answer:
    form: InputForm
    vectors: Any
    output: bytes


class AnswerCache:
    """The answers that one process remembers.

    A part of the shelf is a tenant, a release, a stage, a runtime, a complexity, and the user where a policy of the
    release names users: nothing is found across. Without the extra `embeddings`, equal inputs alone are found.
    """

    def __init__(self, shelf: CacheShelf[Any] | None = None) -> None:
        self._shelf: CacheShelf[_Answer] = shelf or CacheShelf()
        self._vectors: Vectors | object | None = None

    async def find(self, run: Run, cache: SemanticCache) -> CachedAnswer | None:
        """The answer to the nearest input that means the same, equal ones first."""
        part, form = _part(run), InputForm.of(run.call.input)
        found = self._shelf.find(part, digest({"input": run.call.input}))
        if found is not None:
            return CachedAnswer(orjson.loads(found.output), "exact", 1.0)
        vectors = await self._ready(form, cache)
        if vectors is None:
            return None
        nearest = self._nearest(part, form, _units(vectors, form), cache.threshold)
        if nearest is None:
            return None
        return CachedAnswer(orjson.loads(nearest[0].output), "similar", round(min(1.0, nearest[1]), 4))

    async def keep(self, run: Run, cache: SemanticCache, output: Any) -> None:
        """Remembers an output that was checked and redacted."""
        form = InputForm.of(run.call.input)
        vectors = await self._ready(form, cache)
        units = _units(vectors, form) if vectors is not None else None
        data = canonical(output)
        size = len(data) + sum(map(len, form.texts)) + (units.nbytes if units is not None else 0)
        answer = _Answer(form, units, data)
        key = digest({"input": run.call.input})
        self._shelf.keep(_part(run), key, answer, size=size, ttl_s=cache.ttl_s, entries=cache.entries)

    def _nearest(self, part: Hashable, form: InputForm, units: Any, threshold: float) -> tuple[_Answer, float] | None:
        """The answer whose least similar text is the most similar, if that reaches the threshold."""
        import numpy

        answers = [
            one for one in self._shelf.values(part) if one.form.skeleton == form.skeleton and one.vectors is not None
        ]
        if not answers:
            return None
        cosines = numpy.einsum("atd,td->at", numpy.stack([one.vectors for one in answers]), units).min(axis=1)
        for at in numpy.argsort(-cosines, kind="stable"):
            if cosines[at] < threshold:
                return None
            if form.may_mean(answers[at].form):
                return answers[at], float(cosines[at])
        return None

    async def _ready(self, form: InputForm, cache: SemanticCache) -> Vectors | None:
        """The word vectors, read once in a thread; None where they are not there or of no use for this input."""
        if cache.threshold >= 1 or not form.is_comparable:
            return None
        if self._vectors is None:
            try:
                self._vectors = await asyncio.to_thread(load_vectors)
            except Unavailable:
                self._vectors = _NEVER
        return self._vectors if isinstance(self._vectors, Vectors) else None


def _units(vectors: Vectors, form: InputForm) -> Any:
    """One row a text."""
    import numpy

    return numpy.stack([vectors.unit(text) for text in form.texts])


def _part(run: Run) -> Hashable:
    call, compiled = run.call, run.compiled
    user = call.user if compiled.decider.asks_for_users else None
    return (call.tenant, compiled.digest, call.effective_stage, call.runtime, call.complexity, user)
