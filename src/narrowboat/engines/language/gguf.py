"""The language engine of GGUF models on this machine. Loads in workers only.

Covers: one question about passages, part by part where they are longer than the model's window; taking out what small
models add: sentences that they say twice, ones that are cut off.
Does not cover: the model in memory (``llama``), which ones there are and what they need (``engines/language_models``).

The same passages give the same text: there is no chance in it, and nothing is kept from one question to the next. A
summary is made of texts about its parts, one after the other, and not of a text about those: a small model gets less
wrong when it reads what was said. The smallest are not told about places and rules either: they write about those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from narrowboat import context
from narrowboat.engines.language.asking import SYSTEM, question, wish
from narrowboat.engines.language.llama import loaded
from narrowboat.engines.language.parts import Passage, Text, Words, over_all, tokens
from narrowboat.engines.language.wording import count_words, is_finished, sentences
from narrowboat.errors import EngineError
from narrowboat.values import Json

#: Tokens of a word, with room to end a sentence; of an answer when nothing is said of its length; around a question.
_TOKENS_A_WORD, _MORE = 1.6, 48
_TOKENS = 512
_AROUND = 64
#: Bytes of a file below which a model is told the least; a quarter of a billion weights, or so.
_SMALLEST = 300 << 20
_SYSTEM = "You write about a text. Keep to the facts of the text."


def complete(inputs: dict[str, Json]) -> dict[str, Json]:
    """A step; see :mod:`narrowboat.engines.language`. Beside those inputs: ``path``, of the .gguf file.

    Raises:
        EngineError: the file can't be loaded, or the model takes in or writes too little.
        Interrupted: the step was asked to stop.
    """
    path, schema = Path(inputs["path"]), inputs.get("schema")
    words = tuple(inputs["words"]) if inputs.get("words") else None
    system, prompt = str(inputs.get("system") or SYSTEM), str(inputs.get("prompt") or "")
    window, small = loaded(path, context.cores()).window, path.stat().st_size < _SMALLEST
    if small:
        system = _SYSTEM

    def room_to_write(words: Words) -> int:
        wanted = _TOKENS if words is None else int(words[1] * _TOKENS_A_WORD) + _MORE
        return min(wanted, inputs.get("max_tokens") or wanted, window // 2)

    def ask(passages: Sequence[Passage], words: Words) -> Text:
        model = loaded(path, context.cores())
        asked = _plainly(passages, prompt, words) if small else question(passages, prompt, words)
        written = model.ask(system, asked, max_tokens=room_to_write(words), schema=schema)
        text = written.text if schema is not None else tidied(written.text, words, written.cut)
        return Text(text, written.cut, written.tokens_in, written.tokens_out)

    around = tokens(system) + tokens(wish(prompt, words)) + _AROUND
    key = [inputs["model"], str(path), system, prompt, schema, inputs.get("max_tokens")]
    room = max(window - room_to_write(words) - around, window // 4)
    text = over_all(ask, inputs["passages"], words, room, key=key, one_text=bool(prompt or schema))
    if not text.text.strip():
        raise EngineError(f"{inputs['model']} wrote nothing", hint="use another model, or extractive")
    return {
        "text": text.text.strip(),
        "finish": "length" if text.cut and not is_finished(text.text) else "stop",
        "usage": {"input_tokens": text.tokens_in, "output_tokens": text.tokens_out},
        "made_by": {"model": inputs["model"], "kind": "small local model"},
    }


def _plainly(passages: Sequence[Passage], prompt: str, words: Words) -> str:
    text = "\n".join(str(passage["text"]) for passage in passages)
    asked = prompt.strip() or "Sum up this text"
    return f"Text:\n\n{text}\n\n{asked}{f' in {words[0]} to {words[1]} words' if words else ''}."


def tidied(text: str, words: Words, cut: bool) -> str:
    """A text without the sentences that were said before, as long as it may be, and ended: one sentence stays whatever
    it is.
    """
    paragraphs = [[text[a + b : a + e].strip() for b, e in sentences(text[a:z])] for a, z in _lines(text)]
    if cut and paragraphs and not is_finished(paragraphs[-1][-1]) and sum(map(len, paragraphs)) > 1:
        paragraphs[-1].pop()
    said: set[str] = set()
    count, kept = 0, []
    for paragraph in paragraphs:
        line = []
        for sentence in paragraph:
            more = count_words(sentence)
            if said and (sentence in said or (words is not None and count + more > words[1])):
                continue
            said.add(sentence)
            line.append(sentence)
            count += more
        kept.append(" ".join(line))
    return "\n".join(line for line in kept if line)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Where lines begin and end that have something in them."""
    return ((found.start(), found.end()) for found in re.finditer(r"[^\n]*\S[^\n]*", text))
