"""The platform's count beside a tokenizer's: never far below it for what people and programs write."""

import importlib.util
import random
from pathlib import Path

import pytest

from penstock.engine.context.token_count import text_tokens

ROOT = Path(__file__).parents[3]
RANDOM = random.Random(7)
TEXTS = {
    "prose": (ROOT / "docs/concepts.md").read_text(),
    "code": (ROOT / "src/penstock/engine/run.py").read_text(),
    "json": (ROOT / "schemas/tool.json").read_text(),
    "chinese": "你好，世界。软件测试用例需要覆盖所有的需求。" * 10,
    "german": "Größere Änderungen müssen schriftlich beantragt werden, Geschwindigkeitsbegrenzungen ebenso. " * 5,
    "digits": "".join(RANDOM.choice("0123456789") for _ in range(500)),
    "emoji": "😀🎉🔥✨" * 20,
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_count_is_no_less_than_a_tokenizers(name: str) -> None:
    from tokenizers import Tokenizer

    found = importlib.util.find_spec("wordllama")
    assert found is not None
    assert found.origin is not None
    file = Path(found.origin).parent / "tokenizers/l2_supercat_tokenizer_config.json"
    tokenizer = Tokenizer.from_file(str(file))
    real = len(tokenizer.encode(TEXTS[name], add_special_tokens=False).ids)
    assert real - 1 <= text_tokens(TEXTS[name]) <= 6 * real


def test_random_hex_counts_four_fifths_of_its_characters() -> None:
    """No tokenizer that was measured makes more than nine tenths of it; a token a character would be the worst."""
    text = RANDOM.randbytes(500).hex()
    assert text_tokens(text) >= 0.79 * len(text)
