"""Transcribe with a remote engine. Runs in the supervisor.

Covers: cutting an episode and sending its chunks while they come, one transcript of the answers.
Does not cover: what becomes of one chunk (``asking_workflow``), who is who (``speakers_workflow``), what the steps do
(``cutting``, ``joining``, ``engines/speech/remote``), what comes after (``outputs_workflow``).

Options of a job beside those of ``workflow``: ``chunk``, the seconds of a chunk at most. It is no part of a job's
identity: a job that goes on with another one is cut anew from where it is, and what was answered stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from narrowboat.engines.remote import CALL_BYTES, RemoteModel, client_of
from narrowboat.engines.remote_speech import REMOTE_SPEECH, speech_limits
from narrowboat.pipelines.transcribe.asking_workflow import CUT, Answered, Asking
from narrowboat.pipelines.transcribe.outputs_workflow import written
from narrowboat.pipelines.transcribe.sound_workflow import described, sound
from narrowboat.pipelines.transcribe.speakers_workflow import Part, called, loose, people, put_together
from narrowboat.runner.job import Job
from narrowboat.runner.steps import Step
from narrowboat.values import Facts, Json

_WHO = "narrowboat.engines.speech.remote:who_is_who"
#: Memory as measured: 25 MiB with what a worker begins with.
JOIN = Step("narrowboat.pipelines.transcribe.joining:join", memory="32M", cores=0, name="join", version=REMOTE_SPEECH)


async def transcribe(job: Job, model: RemoteModel) -> None:
    """Fetch, probe, cut and ask at the same time, join, write. No answer that is journaled is asked for again."""
    join = JOIN.with_engine(model.name)
    if not await job.finished(join):
        await _heard(job, model, join)
    totals = (await job.cursor(join) or {"totals": {}})["totals"]  # none where nobody speaks at all
    given = await described(job, model.name, REMOTE_SPEECH, job.options["language"] or totals.get("language"))
    counted = {name: totals[name] for name in ("usage", "unheard") if totals.get(name)}
    await written(job, join, {**given, **counted}, given["facts"])


async def _heard(job: Job, model: RemoteModel, join: Step) -> None:
    client = client_of(model)  # a key that is missing is told before anything is fetched
    await job.require(CUT)
    await job.require(Step(_WHO, memory=CALL_BYTES, client=client, name=f"a call of {model.name}"))
    audio, facts = await sound(job)
    async with Asking(job, model, client, audio, facts) as asking:
        at = _how(job, model, audio, facts)
        async with contextlib.aclosing(job.stream(CUT, {"stream": facts["stream"]}, facts, at=at)) as chunks:
            async for chunk in chunks:
                await asking.take(chunk.value)
        answered = await asking.all()
    parts = [Part(one.start, one.end, one.speakers) for one in answered]
    everybody = people(parts, asking.known)
    if asked := loose(everybody) if speech_limits(model).asks else []:
        who = Step(_WHO, memory=CALL_BYTES, client=client, engine=model.name, version=REMOTE_SPEECH, name="who")
        answer = await job.run(who, {"model": model.name, "speakers": [one.about for one in asked]})
        asking.spend(answer["usage"])
        if answer.get("why"):
            job.log(f"speakers of different chunks stay apart: {answer['why']}")
        everybody = put_together(everybody, asked, answer["groups"])
    given = {"names": called(everybody, len(parts)), "totals": {**asking.totals(), "language": _language(answered)}}
    results = await job.export_results(asking.listen, [one.key for one in answered])
    async for _ in job.stream(join, {**given, "keys": [one.key for one in answered]}, at={"results": results}):
        pass


def _how(job: Job, model: RemoteModel, audio: str, facts: Facts) -> dict[str, Json]:
    limits = speech_limits(model)
    chunk = min(job.options["chunk"], limits.seconds)
    return {"path": audio, "duration": facts["duration"], "chunk": chunk, "most_bytes": limits.bytes}


def _language(answered: Sequence[Answered]) -> str | None:
    """The language of most of the time in which somebody speaks; the first of those that are equal."""
    seconds: dict[str, float] = {}
    for one in answered:
        if one.language:
            seconds[one.language] = seconds.get(one.language, 0.0) + one.spoken
    return max(seconds, key=lambda code: seconds[code], default=None)
