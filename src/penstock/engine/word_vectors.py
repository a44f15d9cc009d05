"""Word vectors that come with a package: how near two texts are in meaning, without asking any network.

Tokenizer and vectors are read from the files of the installed package `wordllama`; its own code is not imported: its
loader looks for the tokenizer in a folder that does not exist and would then ask the network.
"""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import Unavailable

TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
WEIGHTS = "weights/l2_supercat_256.safetensors"
TENSOR = "embedding.weight"


@dataclass(frozen=True, slots=True)
class Vectors:
    """A tokenizer and one vector (256 numbers) a token; a text is the mean of its tokens."""

    tokenizer: Any
    weights: Any

    def cosine(self, one: str, other: str) -> float:
        """The cosine of two texts, -1 to 1; 0 where a text has no token."""
        import numpy

        a, b = self.vector(one), self.vector(other)
        length = float(numpy.linalg.norm(a) * numpy.linalg.norm(b))
        return float(a @ b) / length if length > 0 else 0.0

    def vector(self, text: str) -> Any:
        """The mean vector of a text's tokens (float64)."""
        import numpy

        tokens = self.tokenizer.encode(text, add_special_tokens=False).ids
        if not tokens:
            return numpy.zeros(self.weights.shape[1])
        known = numpy.minimum(numpy.asarray(tokens), self.weights.shape[0] - 1)
        return self.weights[known].mean(axis=0, dtype=numpy.float64)

    def unit(self, text: str) -> Any:
        """The vector at length 1 (float32), or zeros; the dot product of two such is their cosine."""
        import numpy

        vector = self.vector(text)
        length = float(numpy.linalg.norm(vector))
        return (vector / length if length > 0 else vector).astype(numpy.float32)


@functools.cache
def load_vectors() -> Vectors:
    """Tokenizer and vectors of the installed package, kept; raises `Unavailable`."""
    found = importlib.util.find_spec("wordllama")
    try:
        if found is None or found.origin is None:
            raise ImportError("wordllama is not installed")
        from safetensors import safe_open
        from tokenizers import Tokenizer

        folder = Path(found.origin).parent
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        with safe_open(folder / WEIGHTS, framework="np") as tensors:
            weights = tensors.get_tensor(TENSOR)
    except ImportError as error:
        what = f"texts cannot be compared by their meaning: {error}"
        raise Unavailable(what, where="word vectors", now="pip install 'penstock[embeddings]'") from None
    except Exception as error:  # tokenizers raises bare ones
        what = f"the word vectors cannot be read: {error}"
        raise Unavailable(
            what, where=WEIGHTS, now="install the extra anew: pip install 'penstock[embeddings]'"
        ) from None
    return Vectors(tokenizer, weights)
