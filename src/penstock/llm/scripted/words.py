"""Words and sentences of a text in any language."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_][\w'’/-]*[^\W_]|[^\W_]")
_SENTENCE_END = re.compile(r"(?<=[.!?;])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bz\.B\.)\s+|(?<=[。！？；])|\n+\s*(?:[-*•]\s+)?")
_KEY_WORDS = 8
_SHORT = 2
_FIRST_EAST_ASIAN = 0x2E80
_STOP_WORDS_TEXT = """
a about after all also an and any are as at be been before but by can cannot could do does each every for from
had has have he her his if in into is it its may more most must never no nor not of on once only or other our
out over shall she should so some such than that the their them then there these they this those to under until
up was we were what when where which while who will with within without would you your aber als am an auch auf
aus bei bis das dass dem den der des die durch ein eine einem einen einer es für hat ihre im in ist kann mit
muss nach nicht noch nur oder seine sein sich sie sind soll über um und von vor was wenn wer werden wie wird zu
zum zur
"""
_STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())


def clean(text: str) -> str:
    """The text in NFC, without control characters, its blanks made single; line breaks stay."""
    normal = unicodedata.normalize("NFC", text)
    kept = "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else " " for c in normal)
    return "\n".join(" ".join(line.split()) for line in kept.split("\n")).strip()


def sentences(text: str) -> list[str]:
    """The sentences of the text without their final stop; those without a word are dropped."""
    parts = (part.strip().rstrip(".;。；").strip() for part in _SENTENCE_END.split(clean(text)))
    return [part for part in parts if _WORD.search(part)]


def key_words(text: str) -> list[str]:
    """Up to eight different words that carry meaning, in the order of the text, in lower case."""
    return telling_words(text)[:_KEY_WORDS]


def telling_words(text: str) -> list[str]:
    """All different words that carry meaning, in the order of the text, in lower case."""
    words = (word.lower() for word in _WORD.findall(text))
    return list(dict.fromkeys(word for word in words if word not in _STOP_WORDS and _is_telling(word)))


def _is_telling(word: str) -> bool:
    return len(word) > _SHORT or ord(word[0]) >= _FIRST_EAST_ASIAN


def shorten(text: str, limit: int) -> str:
    """The text in one line of at most `limit` characters (at least one), cut at a word where there is one."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    cut = line[: limit - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[limit // 2 :] else cut) + "…"
