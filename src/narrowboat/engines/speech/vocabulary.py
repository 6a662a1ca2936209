"""The words of a Whisper model: numbers of tokens to text, and which tokens have a meaning of their own.

Covers: ``vocabulary.txt`` or ``vocabulary.json`` of a model folder, byte-level tokens to UTF-8, the prompt.
Does not cover: text to tokens; nothing here needs that.

The tokens are spelled as GPT-2 does: each byte is one printable character, itself where it is printable in
Latin-1, else the next free one from U+0100 on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from narrowboat.errors import UsageError

_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))


def _spelling() -> dict[str, int]:
    hidden = [byte for byte in range(256) if byte not in _PRINTABLE]
    spelled = {chr(byte): byte for byte in _PRINTABLE}
    spelled.update({chr(0x100 + place): byte for place, byte in enumerate(hidden)})
    return spelled


_BYTES = _spelling()


class Vocabulary:
    """The tokens of the model in ``folder``.

    Raises:
        UsageError: no vocabulary there, or not one of Whisper's.
    """

    def __init__(self, folder: Path) -> None:
        self._tokens = _read(folder)
        self._numbers = {token: number for number, token in enumerate(self._tokens) if token.startswith("<|")}
        try:
            self.end = self._numbers["<|endoftext|>"]
            self.start = self._numbers["<|startoftranscript|>"]
            self.no_timestamps = self._numbers["<|notimestamps|>"]
        except KeyError as error:
            raise UsageError(f"{folder} has not the vocabulary of a Whisper model: {error} is missing") from error
        self.multilingual = len(self._tokens) > 51864  # English-only models have one token less
        self.text_end = min(self.end, self.start)  # numbers from here on are not text

    def prompt(self, language: str | None) -> list[int]:
        """The tokens that ask for a transcript, without times, in ``language`` (a code such as ``en``)."""
        if not self.multilingual:
            return [self.start, self.no_timestamps]
        return [self.start, self._numbers[f"<|{language}|>"], self._numbers["<|transcribe|>"], self.no_timestamps]

    def knows_language(self, language: str) -> bool:
        """Whether the model has a token for the language code."""
        return f"<|{language}|>" in self._numbers

    def data(self, number: int) -> bytes:
        """The bytes of one token; a character can be spread over several."""
        return bytes(_BYTES[char] for char in self._tokens[number] if char in _BYTES)

    def text(self, numbers: Sequence[int]) -> str:
        """The text of tokens; marks such as ``<|en|>`` give nothing, broken characters are left out."""
        return b"".join(self.data(n) for n in numbers if n < self.text_end).decode("utf-8", "ignore")


def _read(folder: Path) -> list[str]:
    listed = folder / "vocabulary.json"
    plain = folder / "vocabulary.txt"
    try:
        if listed.is_file():
            tokens = json.loads(listed.read_text("utf-8"))
        else:
            tokens = plain.read_text("utf-8").removesuffix("\n").split("\n")
    except (OSError, ValueError) as error:
        raise UsageError(f"the vocabulary of the model in {folder} can't be read: {error}") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise UsageError(f"{listed} is not a list of tokens")
    return tokens
