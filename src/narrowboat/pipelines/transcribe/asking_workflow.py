"""The chunks of one episode on their way to a remote engine and back. Runs in the supervisor.

Covers: sending each as it comes; one that was too much for an answer, cut smaller and asked again; files that are gone,
made again, and files that nobody needs any more, removed; what follows when a chunk fails.
Does not cover: when there is room for a call and how often it is tried (``runner/calls``), cutting (``cutting``), what
becomes of the answers (``remote_workflow``).

The first chunk in which somebody speaks goes ahead: those who speak there are told to the engine with all others, in
words or by samples of their voices, whichever it takes. When
a chunk fails for good, those that are on their way are waited for, since they are paid for, and no more are sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from narrowboat.engines.remote import RemoteModel
from narrowboat.engines.remote_speech import REMOTE_SPEECH, speech_limits
from narrowboat.errors import EngineError, NarrowboatError, StepFailed
from narrowboat.pipelines.transcribe.speakers_workflow import samples
from narrowboat.runner.job import Job
from narrowboat.runner.steps import Step
from narrowboat.sizes import MIB
from narrowboat.values import Client, Demand, Facts, Json

Chunk = Mapping[str, Json]  # as ``cutting`` yields it

_CUTTING = "narrowboat.pipelines.transcribe.cutting"
_LISTEN = "narrowboat.engines.speech.remote:listen"
#: Memory as measured: 33 MiB whatever the length of the episode and of its chunks.
CUT = Step(f"{_CUTTING}:cut", memory="40M", name="cut")
PIECES = Step(f"{_CUTTING}:pieces", memory="48M", name="pieces")
MAKE_AGAIN = Step(f"{_CUTTING}:make_again", memory="48M", name="make_again")
#: Bytes of a call, and of each second of its sound: an answer about 45 minutes has 250 KB at most, and is four times in
#: memory.
_CALL, _ANSWER_A_SECOND = MIB // 4, 400
#: Seconds of a chunk that is not cut smaller when its answer is cut off, and of one whose answer ends early.
LEAST_CUT_OFF_S, LEAST_EARLY_S = 30.0, 240.0
#: A chunk is cut in two when its pieces may have this share of it.
_PIECE = 0.6
_VOICES = "voices"  # folder in scratch


@dataclass(frozen=True, slots=True)
class Answered:
    """A chunk with its answer in the journal.

    Attributes:
        key: under which the answer is there.
        start: seconds of the episode; likewise ``end``.
        spoken: seconds of its segments together.
    """

    key: str
    start: float
    end: float
    spoken: float
    language: str | None
    speakers: list[dict[str, str]] = field(default_factory=list)


class Asking:
    """Takes chunks as they are cut; a context manager that leaves no call behind.

    Attributes:
        listen: the step that a call is.
        known: the speakers that were told to the engine; complete with :meth:`all`.
    """

    def __init__(self, job: Job, model: RemoteModel, client: Client, audio: str, facts: Facts) -> None:
        self.listen = Step(
            _LISTEN, demand=_call_demand, client=client, engine=model.name, version=REMOTE_SPEECH, name="listen"
        )
        self.known: list[dict[str, str]] = []
        self._samples: list[str] = []  # of their voices, in that order; none where they are told in words
        self._usage: Counter[str] = Counter(calls=0)
        self._unheard: list[dict[str, float]] = []
        self._job = job
        self._model = model
        self._limits = speech_limits(model)
        self._audio = audio
        self._facts = facts
        self._places = asyncio.Semaphore(client.at_once)  # so that those that wait are not sent once one has failed
        self._led = False
        self._told = asyncio.Event()  # who is known
        self._gone: list[tuple[Chunk, bool]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._answered: list[Answered] = []
        self._error: NarrowboatError | None = None
        self._began, self._seconds = time.monotonic(), 0.0
        if not self._limits.speakers:
            self._led = True
            self._told.set()

    async def __aenter__(self) -> Asking:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        if isinstance(error, NarrowboatError):
            self._fail(error)
        elif error is not None:
            self._cancel()
        try:
            await self._settled()
        except asyncio.CancelledError:
            self._cancel()
            await self._settled()
            raise

    async def take(self, chunk: Chunk) -> None:
        """Send a chunk, when it is its turn."""
        if chunk["file"] is None:
            self._progress(chunk)  # nobody speaks
            return
        leads, self._led = not self._led, True
        if self._is_there(chunk) or await self._job.finished(self.listen, _key(chunk)):
            self._start(chunk, leads)
        else:
            self._gone.append((chunk, leads))

    async def all(self) -> list[Answered]:
        """Wait for all that was taken; the answers in the order of the episode.

        Raises:
            NarrowboatError: what the first chunk that failed has failed with.
        """
        if self._gone:  # files that were there before
            await self._make_again([chunk for chunk, _ in self._gone])
        for chunk, leads in self._gone:
            self._start(chunk, leads)
        await self._settled()
        if self._error is not None:
            raise self._error
        return sorted(self._answered, key=lambda one: one.start)

    def spend(self, usage: Mapping[str, Json]) -> None:
        """Count a call."""
        counted = {name: count for name, count in usage.items() if isinstance(count, int | float)}
        self._usage.update({"calls": 1, **counted})

    def totals(self) -> dict[str, Json]:
        """``usage``, the calls and what the engine counted; ``unheard``, stretches in which somebody speaks, and for
        which there are no words.
        """
        return {"usage": dict(self._usage), "unheard": sorted(self._unheard, key=lambda one: one["start"])}

    # ------------------------------------------------------------------------------------------------------------

    async def _settled(self) -> None:
        while self._tasks:  # one may start others
            await asyncio.wait(self._tasks)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _fail(self, error: NarrowboatError) -> None:
        self._error = self._error or error
        self._told.set()

    def _start(self, chunk: Chunk, leads: bool) -> None:
        task = asyncio.create_task(self._see_through(chunk, leads), name="narrowboat-chunk")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, chunk: Chunk, leads: bool) -> None:
        try:
            await self._ask(chunk, leads)
        except NarrowboatError as error:
            self._fail(error)
        except Exception as error:  # a mistake of ours: the job must hear of it
            self._fail(StepFailed(f"asking about a chunk raised {type(error).__name__}: {error}"))

    async def _ask(self, chunk: Chunk, leads: bool) -> None:
        if not leads:
            await self._told.wait()
        async with self._places:
            if self._error is not None:
                return
            heard = await self._listen(chunk)
            self.spend(heard["usage"])
            pieces = await self._pieces(chunk) if _is_too_much(heard) else None
        if pieces is None:
            self._keep(chunk, heard)
            if leads:
                await self._tell(heard)
        self._job.discard(chunk["file"])
        for one in pieces or ():
            if one["file"] is not None:
                self._start(one, leads)
                leads = False
            else:
                self._progress(one)
        if leads:
            self._told.set()  # nobody speaks in any of them after all

    async def _listen(self, chunk: Chunk) -> Mapping[str, Json]:
        key = _key(chunk)
        if not await self._job.finished(self.listen, key):
            await self._have(chunk)
        given = {name: chunk[name] for name in ("start", "end", "speech", "speech_end")}
        given |= {"model": self._model.name, "language": self._job.options["language"], "speakers": self.known}
        at: dict[str, Json] = {"path": str(self._job.scratch / chunk["file"]), "samples": self._samples}
        facts = {"seconds": chunk["end"] - chunk["start"]}
        heard: Mapping[str, Json] = await self._job.run(self.listen, given, facts, at=at, key=key)
        return heard

    async def _pieces(self, chunk: Chunk) -> list[Chunk]:
        """A chunk in two, or more where it must be."""
        key, length = _key(chunk), chunk["end"] - chunk["start"]
        if not await self._job.finished(PIECES, key):
            await self._have(chunk)
        given = {"first": round(chunk["start"] * 16_000), "stem": _stem(chunk), "stream": 0, "duration": length}
        given |= {"chunk": _PIECE * length, "most_bytes": self._limits.bytes}
        at = {"path": str(self._job.scratch / chunk["file"])}
        made: list[Chunk] = await self._job.run(PIECES, given, self._facts, at=at, key=key)
        return made

    async def _tell(self, heard: Mapping[str, Json]) -> None:
        """Those who speak in the first part are told to the engine with all others: in words, or by their voices."""
        if self._limits.asks:
            self.known = heard["speakers"]
        elif found := samples(heard["segments"]):
            files = [f"{_VOICES}/{number}.flac" for number in range(len(found))]
            await self._make_again([{**one, "file": file} for one, file in zip(found, files, strict=True)])
            self.known = [{"label": one["label"], "name": "", "voice": "", "said": ""} for one in found]
            self._samples = [str(self._job.scratch / file) for file in files]
        self._told.set()

    def _keep(self, chunk: Chunk, heard: Mapping[str, Json]) -> None:
        spoken = sum(segment["end"] - segment["start"] for segment in heard["segments"])
        self._answered.append(
            Answered(_key(chunk), chunk["start"], chunk["end"], spoken, heard["language"], heard["speakers"])
        )
        if heard["finish"] == "early" or not heard["segments"]:
            self._miss(chunk, heard)
        self._progress(chunk)

    def _miss(self, chunk: Chunk, heard: Mapping[str, Json]) -> None:
        begin = heard["segments"][-1]["end"] if heard["segments"] else chunk["start"]
        end = chunk["end"] if chunk["speech_end"] is None else chunk["speech_end"]
        self._unheard.append({"start": begin, "end": end})
        self._job.log(f"somebody speaks from {begin:.0f} s to {end:.0f} s, and the engine gave no words")

    async def _have(self, chunk: Chunk) -> None:
        """See that a chunk's file is there, all of it."""
        if not self._is_there(chunk):
            await self._make_again([chunk])

    def _is_there(self, chunk: Chunk) -> bool:
        try:
            return bool((self._job.scratch / chunk["file"]).stat().st_size == chunk["bytes"])
        except OSError:
            return False

    async def _make_again(self, chunks: list[Chunk]) -> None:
        wanted = [{name: chunk[name] for name in ("start", "end", "file")} for chunk in chunks]
        given = {"path": self._audio, "stream": self._facts["stream"], "chunks": wanted}
        await self._job.afresh(MAKE_AGAIN, given, self._facts)

    def _progress(self, chunk: Chunk) -> None:
        self._seconds += chunk["end"] - chunk["start"]
        took = time.monotonic() - self._began
        self._job.progress(self._seconds / max(self._facts["duration"], 0.001), speed=self._seconds / max(took, 0.001))


def _call_demand(facts: Facts) -> Demand:
    return Demand(_CALL + round(_ANSWER_A_SECOND * facts["seconds"]), cores=0)


def _is_too_much(heard: Mapping[str, Json]) -> bool:
    """Whether a chunk has to be cut smaller and asked again.

    Raises:
        EngineError: it is as small as it gets.
    """
    length = heard["end"] - heard["start"]
    if heard["finish"] == "length" and length < LEAST_CUT_OFF_S:
        raise EngineError(
            f"the answer for {heard['start']:.0f} to {heard['end']:.0f} s is cut off even for so short a stretch",
            hint="use a model that writes longer answers",
        )
    return bool(heard["finish"] == "length" or (heard["finish"] == "early" and length >= LEAST_EARLY_S))


def _key(chunk: Chunk) -> str:
    """What tells a stretch of the episode from all others."""
    return f"{chunk['start']:.4f}-{chunk['end']:.4f}"


def _stem(chunk: Chunk) -> str:
    """What the files of its pieces are named after: the chunk's own file."""
    name: str = chunk["file"].rpartition("/")[2]
    return name.removesuffix(".flac")
