"""One episode for a remote engine as it used to be prepared: all of it in memory.

    python bench/remote_old_way.py EPISODE SECONDS

Decodes the whole file to samples as they are in it, slices them, encodes each slice as MP3 in memory and makes base64
of it, as the body of a request would be. Slices are kept until all are there, since all requests were made before the
first was sent. Covers: what that takes. Does not cover: sending.
"""

from __future__ import annotations

import base64
import io
import sys
from typing import Any

import av
import numpy as np


def decoded(path: str) -> tuple[Any, int, str]:
    """All samples of a file, its rate and its layout."""
    with av.open(path) as source:
        stream: Any = source.streams.audio[0]
        resampler = av.AudioResampler(format="s16", layout=stream.layout.name, rate=stream.rate)
        parts = [part.to_ndarray() for frame in source.decode(stream) for part in resampler.resample(frame)]
    return np.concatenate(parts, axis=1), stream.rate, stream.layout.name


def as_mp3(samples: Any, rate: int, layout: str) -> bytes:
    """A slice as a file in memory."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as out:
        stream: Any = out.add_stream("mp3", rate=rate, layout=layout, bit_rate=128_000)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="s16", layout=layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(format="s16p", layout=layout, rate=rate, frame_size=1152)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return file.getvalue()


def main() -> int:
    path, seconds = sys.argv[1], float(sys.argv[2])
    samples, rate, layout = decoded(path)
    channels = 2 if layout == "stereo" else 1
    size = round(seconds * rate) * channels
    slices = [samples[:, at : at + size].copy() for at in range(0, samples.shape[1], size)]
    bodies = [base64.b64encode(as_mp3(one, rate, layout)) for one in slices]
    print(f"{len(bodies)} requests, {sum(map(len, bodies)) / 1e6:.0f} MB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
