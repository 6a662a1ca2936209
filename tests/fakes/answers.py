"""What is answered, by the switch ``answer``.

Covers: canned, given and scripted answers; whom to ask for those that need the file; limits of an answer's length.
Does not cover: what a fault makes of an answer (``twists``), the vendors' shapes.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from fakes import extracting, shapes
from fakes.faults import Fault
from fakes.questions import Answer, NotHeard, Question, cut_to, tokens
from fakes.refusals import Refusal
from fakes.schemas import sample
from fakes.switches import Switches
from fakes.transcripts import Spoken, in_words
from fakes.twists import twisted, twisted_speech

if TYPE_CHECKING:
    from fakes.hearing import Hearing

CANNED = "This is a canned answer."


class Answers:
    """The answers; it counts those of a script, and knows the episodes that it has loaded."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._given = 0
        self._hearing: Hearing | None = None
        self._one_at_a_time = asyncio.Lock()  # pdfium takes no two threads, and memory stays that of one file

    def restart(self) -> None:
        """A script begins anew."""
        self._given = 0

    async def text(self, question: Question, fault: Fault | None) -> Answer:
        """The answer to a question in words, as switched, limited and twisted.

        Raises:
            Refusal: the sound is not one that can be heard.
        """
        asked = question.max_tokens or self._switches.most_output
        most = min(asked, self._switches.most_output)
        return twisted(_limited(await self._text(question, fault), most), fault)

    async def _text(self, question: Question, fault: Fault | None) -> Answer:
        how = self._switches.answer
        if isinstance(how, dict):
            return Answer(self._told(how))
        if how == "hearing" and not question.files:
            return Answer(json.dumps(shapes.grouped(question, await self._groups(question))))
        if how == "hearing":
            spoken = twisted_speech(await self._heard(question), fault)
            return Answer(shapes.answer_text(spoken, question), about=spoken.about)
        if how == "extract":
            async with self._one_at_a_time:
                text, about = await asyncio.to_thread(extracting.answer_text, question)
            return Answer(text, about=about)
        if question.schema is not None:
            return Answer(json.dumps(sample(question.schema)))
        return Answer(json.dumps({"answer": CANNED}) if question.wants_json else CANNED)

    async def spoken(self, question: Question, fault: Fault | None) -> Spoken | Any:
        """What is heard in the file of a question; what was given with ``{"json": …}`` as it is.

        Raises:
            Refusal: the sound is not one that can be heard.
        """
        how = self._switches.answer
        if isinstance(how, dict):
            return how["json"] if "json" in how else twisted_speech(in_words(self._told(how)), fault)
        return twisted_speech(await self._heard(question) if how == "hearing" else in_words(CANNED), fault)

    async def _groups(self, question: Question) -> list[list[int]]:
        async with self._one_at_a_time:
            return await asyncio.to_thread(lambda: self._ears().groups(question, self._switches.episodes))

    async def _heard(self, question: Question) -> Spoken:
        async with self._one_at_a_time:
            try:
                return await asyncio.to_thread(self._hear, question)
            except NotHeard as error:
                raise Refusal(400, f"Not heard: {error}.") from None

    def _hear(self, question: Question) -> Spoken:
        return self._ears().spoken(question, self._switches.episodes)

    def _ears(self) -> Hearing:
        if self._hearing is None:
            from fakes.hearing import Hearing  # with PyAV and numpy, which nothing else needs

            self._hearing = Hearing()
        return self._hearing

    def _told(self, how: dict[str, Any]) -> str:
        if "json" in how:
            return json.dumps(how["json"], ensure_ascii=False)
        if "text" in how:
            return str(how["text"])
        script = how["script"]
        one = script[min(self._given, len(script) - 1)]
        self._given += 1
        return one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)


def _limited(answer: Answer, most: int) -> Answer:
    if tokens(answer.text) <= most:
        return answer
    return Answer(cut_to(answer.text, most), "length", answer.about)
