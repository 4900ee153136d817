"""Transcripts as the recogniser sees them: lower-case words of letters and apostrophes."""

from __future__ import annotations

import re

_WORD = re.compile(r"[a-z']+")


def words(text: str) -> list[str]:
    """Splits a transcript into lower-case words; punctuation goes, apostrophes inside a word stay."""
    lowered = text.lower().replace("’", "'").replace("-", " ")
    found = (word.strip("'") for word in _WORD.findall(lowered))
    return [word for word in found if word]
