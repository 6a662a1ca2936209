"""``narrowboat transcribe``: sources to transcripts.

Covers: checking what was asked for before anything starts, submitting each source.
Does not cover: doing it (``pipelines/transcribe``), showing it (``session``).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from narrowboat import extras
from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, count, folder, matching, moment, number_range, one_of, seconds, size, text
from narrowboat.cli.output import Output
from narrowboat.cli.session import Submit, check_out, run_jobs
from narrowboat.cli.submitting import ADDRESSES, NAME, submitting, whole
from narrowboat.config import default_cache
from narrowboat.engines.catalogue import DEFAULT_SPEECH
from narrowboat.engines.embedding_models import DEFAULT_EMBEDDING
from narrowboat.engines.language_models import DEFAULT_LANGUAGE
from narrowboat.engines.remote import client_of, remote_model
from narrowboat.engines.remote_speech import DEFAULT_CHUNK
from narrowboat.pipelines.transcribe.outputs_workflow import DEFAULT_WORDS, FORMATS, after_options
from narrowboat.pipelines.transcribe.workflow import PIPELINE, options
from narrowboat.runner.feeds import Wanted
from narrowboat.values import Json

_FOR_ANY = ("av", "earshot", "numpy")  # the rest is for models on this machine


def arguments(parser: argparse.ArgumentParser) -> None:
    """What comes without a flag."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help=f"a file with sound, video files too, {ADDRESSES}, or - for standard input; of a podcast's feed"
        " (RSS, Atom) all episodes, or those that --latest, --since and --match choose",
    )


def run(values: argparse.Namespace, out: Output) -> int:
    """Transcribe and say how it went."""
    check_speech(values.model)
    values.out = values.out or values.home / "outputs"
    episodes = Wanted(values.latest, values.since, values.match)
    submit = submit_all([whole(source) for source in values.sources], values, episodes)
    check_out(values.out)
    code, report = asyncio.run(run_jobs(values, out, submit, preload=PIPELINE.modules({"model": values.model})))
    out.data(report)
    return code


def check_speech(model: str = DEFAULT_SPEECH) -> None:
    """See that the extra is installed; for a remote model its client, and that there is a key.

    Raises:
        UsageError: something of it is missing.
    """
    far = remote_model(model)
    extras.require("speech", "transcribing needs", _FOR_ANY if far is not None else None)
    if far is not None:
        client_of(far)


def job_options(values: argparse.Namespace) -> dict[str, Json]:
    """The options of the jobs; raises UsageError for an unknown model or language."""
    return options(
        model=values.model,
        language=values.language,
        max_download=values.max_download,
        cache=default_cache().expanduser().absolute(),
        chunk=values.chunk,
        after=after_options(
            formats=values.formats,
            summary=values.summary,
            summary_words=values.summary_words,
            summary_model=values.summary_model,
            embed=values.embed,
            embed_model=values.embed_model,
        ),
    )


def submit_all(sources: Sequence[str], values: argparse.Namespace, episodes: Wanted | None = None) -> Submit:
    """What submits the sources with the options of the command line; ``episodes`` where some may be feeds."""
    return submitting(PIPELINE, sources, job_options(values), values, formats=formats_of(values), episodes=episodes)


def formats_of(values: argparse.Namespace) -> list[str]:
    """The outputs that are asked for, each once."""
    more = [*(["summary"] if values.summary else []), *(["json"] if values.embed else [])]
    return list(dict.fromkeys([*values.formats, *more]))


#: Which episodes of a feed.
EPISODES = (
    Option("--latest", "of a feed: the newest N episodes", count, "N"),
    Option("--since", "of a feed: episodes since a date (2026-11-01), or not older than so long (7d)", moment, "DATE"),
    Option(
        "--match",
        "of a feed: episodes with this in their title, whatever its case; /…/ is a regular expression",
        matching,
        "TEXT",
    ),
)
OUT = Option("--out", "folder of the outputs (default: the home's outputs folder)", folder, "DIR")
#: What is made of a transcript.
AFTER = (
    Option("--summary", "write NAME.summary.txt too, and the summary into the JSON"),
    Option(
        "--summary-words",
        f"how many words the summary is to have (default: {DEFAULT_WORDS[0]}-{DEFAULT_WORDS[1]}); at most a third of"
        " the transcript's",
        number_range,
        "FROM-TO",
        DEFAULT_WORDS,
    ),
    Option(
        "--summary-model",
        f"language model of the summary: {DEFAULT_LANGUAGE} (the default) picks sentences and needs no model;"
        " gguf:smollm2 and gguf:/PATH write on this machine; gemini:MODEL and openai:MODEL[@URL] are sent the"
        " transcript",
        text,
        "MODEL",
        DEFAULT_LANGUAGE,
    ),
    Option("--embed", "write the JSON, with a vector for each passage and for the whole: for searching"),
    Option(
        "--embed-model",
        f"model of the vectors: {DEFAULT_EMBEDDING} (the default) is multilingual-e5-small on this machine;"
        " gemini:MODEL and openai:MODEL[@URL] are sent the transcript",
        text,
        "MODEL",
        DEFAULT_EMBEDDING,
    ),
)
#: How a transcript is made, and what of it is written.
HOW = (
    OUT,
    Option("--formats", f"of {', '.join(FORMATS)}, with commas (default: txt)", one_of(*FORMATS), "LIST", ["txt"]),
    Option(
        "--model",
        f"speech model (default: {DEFAULT_SPEECH}); `narrowboat models` lists them; a folder with a Whisper model"
        " for ctranslate2, or a remote model: gemini:MODEL, openai:MODEL or openai:MODEL@URL",
        text,
        "MODEL",
        DEFAULT_SPEECH,
    ),
    Option(
        "--chunk",
        "for remote models: the most sound that is sent at once, 1m to 45m (default: 10m); cut in pauses",
        seconds,
        "TIME",
        DEFAULT_CHUNK,
    ),
    Option("--language", "code of the spoken language, such as en (default: found out)", text, "CODE"),
    *AFTER,
    Option("--max-download", "refuse to fetch more than this of one source, such as 2G", size, "SIZE"),
)
LABEL = Option("--label", "a word of your own for all of them: `narrowboat batches` counts them", text, "TEXT")
COMMAND = Command(
    "transcribe",
    "sound or video to text: txt, srt, vtt, json",
    "Writes DIR/NAME.FORMAT for each source. What was done before is not done again: a job that was interrupted goes"
    "\non after its last finished segment, another format is written without computing anew. Where another file has"
    "\nthe name already, NAME-2 is used. Episodes of a feed are named after their titles and known by their guids: the"
    "\nsame command does those that have come since.",
    """\
narrowboat transcribe talk.mp3
narrowboat transcribe *.mp3 --out transcripts --formats txt,srt --memory 1G
narrowboat transcribe https://example.org/episode.mp3 --model local:whisper-tiny.en
narrowboat transcribe https://example.org/feed.xml --latest 5
narrowboat transcribe https://example.org/feed.xml --since 30d --match interview
ffmpeg -i talk.avi -f wav - | narrowboat transcribe - --name talk.wav
narrowboat transcribe *.mp3 --model gemini:gemini-2.5-flash --formats txt,json --memory 256M
narrowboat transcribe talk.mp3 --model openai:whisper-1@http://127.0.0.1:8000/v1 --chunk 5m
narrowboat transcribe talk.mp3 --summary --summary-words 100-200
narrowboat transcribe talk.mp3 --embed
narrowboat transcribe talk.mp3 --json | jq -r '.jobs[].outputs[]'
""",
    run,
    (
        *HOW,
        *EPISODES,
        NAME,
        Option("--again", "forget what was done of these sources and do it again"),
        LABEL,
    ),
    arguments,
    runs=True,
)
