"""Okapi BM25 over a few hundred short texts, without a dependency."""

import math
import re
from collections import Counter

K1, B = 1.5, 0.75
WORD = re.compile(r"[^\W_]+")
COMMON = frozenset(
    WORD.findall("a an and are as at be by for from in is it its must of on or shall should that the to with")
)


def words(text: str) -> list[str]:
    """The words that count, in lower case, a plural s cut off."""
    found = (word.casefold() for word in WORD.findall(text))
    return [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in found if word not in COMMON]


class Index:
    """Texts by id, ready to be asked."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.counts = {name: Counter(words(text)) for name, text in texts.items()}
        self.lengths = {name: sum(count.values()) for name, count in self.counts.items()}
        self.mean_length = sum(self.lengths.values()) / max(1, len(texts))
        appearances = Counter(word for count in self.counts.values() for word in count)
        total = len(texts)
        self.weights = {word: math.log(1 + (total - n + 0.5) / (n + 0.5)) for word, n in appearances.items()}

    def search(self, query: str, limit: int) -> list[tuple[str, float]]:
        """At most `limit` pairs of id and score, the best first, equal scores by id; none without a common word."""
        asked = [word for word in dict.fromkeys(words(query)) if word in self.weights]
        scores = {name: score for name in self.counts if (score := self.score(name, asked)) > 0}
        return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]

    def score(self, name: str, asked: list[str]) -> float:
        """How well one text answers the words asked for."""
        count, length = self.counts[name], self.lengths[name] / self.mean_length
        return sum(
            self.weights[word] * count[word] * (K1 + 1) / (count[word] + K1 * (1 - B + B * length))
            for word in asked
            if word in count
        )
