"""The language engine of remote models: Gemini, OpenAI and servers that speak as it does. Loads in workers only.

Covers: one question about passages; a second one where the answer is far from the length that was asked for; texts that
are longer than the model takes in.
Does not cover: asking (``engines/gemini``, ``engines/openai_compatible``), trying again (``runner/calls``).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from narrowboat.engines.answers import Answer
from narrowboat.engines.language.asking import SYSTEM, again, question
from narrowboat.engines.language.parts import Passage, Text, TooLong, Words, over_all
from narrowboat.engines.language.wording import count_words
from narrowboat.engines.remote import RemoteModel, remote_model
from narrowboat.errors import EngineError, Interrupted, NarrowboatError, UsageError
from narrowboat.values import Json

#: How far from the range of words an answer may be without being asked for again.
_FAR = 1.25
#: Tokens that a vendor's model may think, beside those of its answer; they count as such. Servers of others are not
#: given them: many refuse what is more than their window, and few of their models think.
_THOUGHTS = 8192


def complete(inputs: dict[str, Json]) -> dict[str, Json]:
    """A step, and a call of its client; see :mod:`narrowboat.engines.language`.

    Raises:
        EngineError, RemoteError, Interrupted: see the clients.
    """
    model = remote_model(str(inputs["model"]))
    if model is None:
        raise UsageError(f"{inputs['model']!r} is no remote model")
    words = tuple(inputs["words"]) if inputs.get("words") else None
    system, prompt = str(inputs.get("system") or SYSTEM), str(inputs.get("prompt") or "")

    def ask(passages: Sequence[Passage], words: Words) -> Text:
        asked = question(passages, prompt, words)
        try:
            answer = _ask(model, system, [asked], inputs)
        except EngineError as error:
            if error.facts.get("reason") == "too_long":
                raise TooLong from None
            raise
        if words is not None and inputs.get("schema") is None:
            answer = _right_length(model, system, asked, answer, words, inputs)
        usage = answer.usage
        return Text(answer.text, answer.finish == "length", usage["input_tokens"], usage["output_tokens"])

    key = [model.name, system, prompt, inputs.get("schema"), inputs.get("max_tokens")]
    text = over_all(ask, inputs["passages"], words, None, key=key)
    if not text.text.strip():
        raise EngineError(
            f"{model.name} used all its tokens before it answered", hint="let it write more", reason="empty"
        )
    return {
        "text": text.text.strip(),
        "finish": "length" if text.cut else "stop",
        "usage": {"input_tokens": text.tokens_in, "output_tokens": text.tokens_out},
        "made_by": {"model": model.name, "kind": "remote model"},
    }


def _ask(model: RemoteModel, system: str, parts: list[str], inputs: dict[str, Json]) -> Answer:
    own = model.vendor == "gemini" or model.base_url is None
    most = inputs.get("max_tokens")
    asked = {"system": system, "schema": inputs.get("schema"), "max_tokens": most and most + own * _THOUGHTS}
    if model.vendor == "gemini":
        answer: Answer = import_module("narrowboat.engines.gemini").generate(model, parts, **asked)
    else:
        answer = import_module("narrowboat.engines.openai_compatible").chat(model, parts, **asked)
    return answer


def _right_length(
    model: RemoteModel, system: str, asked: str, answer: Answer, words: tuple[int, int], inputs: dict[str, Json]
) -> Answer:
    """The answer, or a second one where it is far from the range and the second is nearer."""
    low, high = words
    count = count_words(answer.text)
    if low / _FAR <= count <= high * _FAR:
        return answer
    try:
        second = _ask(model, system, [asked, f"Your answer:\n\n{answer.text}", again(count, words)], inputs)
    except Interrupted:
        raise
    except NarrowboatError:
        return answer  # one that is too long is better than one that is paid for again
    usage = {name: _sum(answer.usage[name], second.usage[name]) for name in answer.usage}
    better = min((answer, second), key=lambda one: _distance(count_words(one.text), words))
    return Answer(better.text, better.finish, usage)


def _distance(count: int, words: tuple[int, int]) -> int:
    return max(words[0] - count, count - words[1], 0)


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else one + other
