"""Whether a media file is all there, from its own structure, without decoding.

Covers: MP4/MOV (boxes), Matroska/WebM (EBML sizes), WAV/RF64/AVI/AIFF (chunks), Ogg (the last page); and what the
walk in ``probe.py`` holds bare streams against: MP3 (Xing/Info/VBRI, the last frame), ADTS AAC (the last frame),
FLAC (the sample count). Reads headers and the end: some KiB, whatever the size.
Does not cover, since nothing in such a file tells: a cut exactly between two frames of an MP3 without a header or
of ADTS AAC; between two pages of an Ogg file, two clusters of a live WebM, in a WAV whose writer did not know the
length; AC-3, AMR, MPEG-TS, FLV. ``audio.py`` refuses what ends far before the length that its container declares.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

_BOXES = {
    b"mdat",
    b"moov",
    b"moof",
    b"free",
    b"skip",
    b"uuid",
    b"mfra",
    b"sidx",
    b"styp",
    b"ftyp",
    b"wide",
    b"udta",
}
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
#: Those two, and SeekHead, Info, Tracks, Cluster, Cues, Chapters, Tags, Attachments, Void, CRC-32 (RFC 9559).
_ELEMENTS = {_EBML, _SEGMENT, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B, 0x1043A770, 0x1254C367}
_ELEMENTS |= {0x1941A469, 0xEC, 0xBF}
_SLOPPY = 64  # bytes; some writers of WAV count their header in, and less than a millisecond is no loss
_OGG_TAIL = 2 * 65_307  # bytes; two of the largest pages, so that the start of the last one is in it
_UNKNOWN = 1 << 16  # bytes; sizes this near to 2 or 4 GiB mean "not known", as streaming writers put them
_MOST_PARTS = 200_000  # looked at; a made-up file may hold millions


def cut(file: BinaryIO, size: int) -> str | None:
    """How one sees that the file of ``size`` bytes is cut short, as half a sentence; None if nothing shows it."""
    file.seek(0)
    start = file.read(16)
    if len(start) < 16:
        return None
    if start[4:8] in _BOXES:
        return _cut_boxes(file, size)
    if start[:4] == _EBML.to_bytes(4, "big"):
        return _cut_ebml(file, size)
    if start[:4] in (b"RIFF", b"RF64", b"FORM"):
        return _cut_chunks(file, size, start)
    if start[:4] == b"OggS":
        return _cut_ogg(file, size)
    return None


def _short(what: str, end: int, size: int, sloppy: int = 0) -> str | None:
    return f"its {what} should end at byte {end}, and the file ends at {size}" if end > size + sloppy else None


def _cut_boxes(file: BinaryIO, size: int) -> str | None:
    position, index = 0, False
    for _ in range(_MOST_PARTS):
        if position + 8 > size:
            return None if index else "its index (moov) is missing"
        file.seek(position)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if length < 8 or (kind not in _BOXES and position + length > size):
            return None  # up to the end of the file, or something else after the boxes
        index = index or kind in (b"moov", b"moof")
        if short := _short(f"box {kind.decode('latin-1')!r}", position + length, size):
            return short
        position += length
    return None


def _vint(file: BinaryIO, keep_marker: bool) -> int | None:
    """An EBML number; None for "not known" or at the end."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    data = first + file.read(length - 1)
    value = int.from_bytes(data, "big")
    if keep_marker:
        return value
    value &= (1 << (7 * length)) - 1
    return None if value == (1 << (7 * length)) - 1 else value


def _cut_ebml(file: BinaryIO, size: int) -> str | None:
    file.seek(0)
    for _ in range(_MOST_PARTS):
        if file.tell() >= size:
            break
        kind, length = _vint(file, True), _vint(file, False)
        if kind == _SEGMENT and length is None:
            continue  # a live one: look at the elements inside
        if kind not in _ELEMENTS or length is None:
            return None  # a live cluster, or something else after the elements
        end = file.tell() + length
        if short := _short("last part", end, size):
            return short
        file.seek(end)
    return None


def _cut_chunks(file: BinaryIO, size: int, start: bytes) -> str | None:
    order = ">" if start[:4] == b"FORM" else "<"
    if start[8:12] not in (b"WAVE", b"AIFF", b"AIFC"):
        return _short("content", 8 + _known(start[4:8], order), size, _SLOPPY)
    position, wide = 12, 0
    for _ in range(_MOST_PARTS):
        if position + 8 > size:
            break
        file.seek(position)
        kind, raw = file.read(4), file.read(4)
        length = _known(raw, order)
        if kind == b"ds64":
            wide = int.from_bytes(file.read(16)[8:], "little")
        if kind in (b"data", b"SSND"):
            length = wide if wide and raw == b"\xff" * 4 else length
            return _short("sound", position + 8 + length, size, _SLOPPY)
        position += 8 + length + length % 2
    return "its sound is missing"


def _known(raw: bytes, order: str) -> int:
    length = int(struct.unpack(order + "I", raw)[0])
    return 0 if any(0 <= top - length < _UNKNOWN for top in (0x7FFFFFFF, 0xFFFFFFFF)) else length


def _cut_ogg(file: BinaryIO, size: int) -> str | None:
    tail_at = max(0, size - _OGG_TAIL)
    file.seek(tail_at)
    tail = file.read(_OGG_TAIL)
    page = tail.rfind(b"OggS\0")
    if page < 0:
        return None
    segments = tail[page + 26] if page + 26 < len(tail) else 255
    table = tail[page + 27 : page + 27 + segments]
    body = sum(table) if len(table) == segments else 1
    return _short("last page", tail_at + page + 27 + segments + body, size)


# ---- formats without a frame around them: what a walk over the packets is held against -----------------------

_RATES = {1: (44100, 48000, 32000), 2: (22050, 24000, 16000), 2.5: (11025, 12000, 8000)}
_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def mpeg_frame_bytes(header: bytes) -> int | None:
    """The length of the MPEG audio frame (ISO 11172-3, 13818-3) with these first 4 bytes; None if it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version = {0: 2.5, 2: 2, 3: 1}.get(header[1] >> 3 & 3)
    layer = 4 - (header[1] >> 1 & 3)
    bits, rate_at, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version is None or layer == 4 or bits in (0, 15) or rate_at == 3:
        return None
    table = _KBITS[(1, layer) if version == 1 else (2, min(layer, 2))]
    rate, bit_rate = _RATES[version][rate_at], table[bits - 1] * 1000
    if layer == 1:
        return (12 * bit_rate // rate + padding) * 4
    return (72 if layer == 3 and version != 1 else 144) * bit_rate // rate + padding


def adts_frame_bytes(header: bytes) -> int | None:
    """The length of the ADTS frame (ISO 13818-7) with these first 6 bytes; None if it is none."""
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    return (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5


@dataclass(frozen=True, slots=True)
class Declared:
    """What the header of a bare stream promises; None where it does not say."""

    frames: int | None = None
    bytes: int | None = None  # from the header's frame on
    samples: int | None = None
    at: int = 0  # where the stream starts, after tags


def declared(file: BinaryIO) -> Declared:
    """What an MP3's Xing, Info or VBRI header, or a FLAC's STREAMINFO, promises."""
    file.seek(0)
    start, at = file.read(10), 0
    if start[:3] == b"ID3" and len(start) == 10:
        at = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(start[6:], (21, 14, 7, 0), strict=True))
    file.seek(at)
    head = file.read(256)
    if head[:4] == b"fLaC" and len(head) >= 26:
        return Declared(samples=int.from_bytes(head[21:26], "big") & 0xFFFFFFFFF or None, at=at)
    if head[36:40] == b"VBRI":
        size, frames = struct.unpack(">II", head[46:54])
        return Declared(frames=frames or None, bytes=size or None, at=at)
    mark = max(head.find(b"Xing", 0, 64), head.find(b"Info", 0, 64))
    if mark < 0:
        return Declared(at=at)
    flags = int.from_bytes(head[mark + 4 : mark + 8], "big")
    numbers = iter(struct.unpack(">II", head[mark + 8 : mark + 16]))
    frames = next(numbers) if flags & 1 else 0
    return Declared(frames=frames or None, bytes=(next(numbers) if flags & 2 else 0) or None, at=at)
