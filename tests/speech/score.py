#!/usr/bin/env python3
"""How well and how late a recording of a call matches what was said into it.

    score.py --reference said.wav --received heard.wav [--max-delay SECONDS] [--loop]

One line of JSON goes to standard output:

pesq_wb   ITU-T P.862.2, 1 (bad) to 4.64 (identical), on both resampled to 16 kHz
stoi      short-time objective intelligibility, 0 to 1, each second moved to where it was said
lag_ms    how much later than the reference's first sample the received copy of it begins
drift_ms  the lag of the last third less that of the first: clocks running apart, or a buffer that moved
level_db  the level of what was received less that of the reference
clipped   samples of the received stretch at full scale
segments  [{"at_s", "lag_ms"}]: the lag of each second, null where nothing could be matched

With --loop the reference was said over and over. Each whole repetition found is scored by itself; the
figures are then medians, but lag_ms (that of the first repetition), clipped and segments (of all of them);
"repetitions" counts them, and "worst" holds the poorest figures of any.

The lag is where the cross-correlation peaks, interpolated between samples. It is searched from a
reference that begins before the recording (--max-lead, 0 s) to --max-delay, the whole recording by default.

Exit codes: 0 scored, 2 wrong usage, 3 a file that cannot be read, 4 the reference was not found in the recording.
"""

import argparse
import json
import struct
import sys
import warnings

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

RATE = 16_000  # what PESQ-WB is defined for
# Below this the best match is chance: unrelated speech of some seconds peaks at 0.1 to 0.2.
MATCH_MIN = 0.25
# A second alone peaks higher by chance: its vowels match any other vowel of that pitch.
SECOND_MATCH_MIN = 0.4
# A second is matched within this distance of the whole's lag; a jitter buffer moves by less.
SEGMENT_REACH_S = 0.4
# PESQ itself refuses less; shorter speech says nothing about a call either.
REFERENCE_MIN_S = 0.5


class Failure(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)  # both, so that it can be told to another process
        self.code = code

    def __str__(self):
        return self.args[1]


def main(arguments=None):
    options = parse(arguments)
    try:
        result = score(options)
    except Failure as failure:
        print(f"score.py: {failure}", file=sys.stderr)
        return failure.code
    print(json.dumps(result))
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(description="Scores a recording of speech against what was said.")
    parser.add_argument("--reference", required=True, metavar="WAV", help="what was said")
    parser.add_argument("--received", required=True, metavar="WAV", help="what was heard")
    parser.add_argument("--max-delay", type=float, metavar="S", help="how late it may begin (default: anywhere)")
    parser.add_argument("--max-lead", type=float, default=0.0, metavar="S", help="how early it may begin")
    parser.add_argument("--loop", action="store_true", help="the reference was repeated: score each repetition")
    return parser.parse_args(arguments)


def score(options):
    reference, _ = read(options.reference)
    received, full_scale = read(options.received)
    if len(reference) < REFERENCE_MIN_S * RATE:
        raise Failure(3, f"{options.reference}: shorter than {REFERENCE_MIN_S} s")
    lead = round(options.max_lead * RATE)
    reach = len(received) if options.max_delay is None else round(options.max_delay * RATE)
    lag, match = find(reference, received, -lead, reach)
    if match < MATCH_MIN:
        lag = find_by_seconds(reference, received, -lead, reach)
    if lag is None:
        raise Failure(4, f"the reference is not in the recording (best match {match:.2f} of 1)")
    if not options.loop:
        return rounded(measure(reference, received, full_scale, lag))
    scores = [measure(reference, received, full_scale, at) for at in repetitions(reference, received, lag)]
    if not scores:
        raise Failure(4, "no repetition of the reference is whole in the recording")
    return rounded(together(scores))


def read(path):
    """Mono float samples at RATE, and which of them (by index) were at full scale."""
    try:
        with warnings.catch_warnings(action="ignore"):  # chunks it does not know, a length not filled in
            rate, samples = wavfile.read(path)
    except (OSError, ValueError, struct.error) as error:
        raise Failure(3, f"{path}: {error}") from error
    if samples.size == 0:
        raise Failure(3, f"{path}: no samples")
    if np.issubdtype(samples.dtype, np.integer):
        limits = np.iinfo(samples.dtype)
        middle = 128 if samples.dtype == np.uint8 else 0
        samples = (samples.astype(np.float64) - middle) / (limits.max - middle)
    samples = samples.astype(np.float64)
    if not np.isfinite(samples).all():
        raise Failure(3, f"{path}: samples that are no numbers")
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    # Counted before resampling, which rounds clipped tops off and overshoots beside them.
    full_scale = (np.flatnonzero(np.abs(samples) >= 0.9999) * (RATE / rate)).astype(int)
    if rate != RATE:
        divisor = np.gcd(rate, RATE)
        samples = resample_poly(samples, RATE // divisor, rate // divisor)
    return samples, full_scale


def find(part, whole, first, last):
    """Where `part` begins in `whole`, in samples with a fraction, and how alike they are there (0 to 1).

    The cross-correlation is taken relative to the level beneath, else a loud vowel beside a quiet stretch
    would win; but never to less than a tenth of the part's own, else near-silence would. Only starts from
    `first` to `last` are looked at.
    """
    size = 1 << (len(part) + len(whole)).bit_length()
    product = np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size))
    correlation = np.fft.irfft(product, size)
    first = max(first, -(len(part) - 1))
    last = min(last, len(whole) - 1)
    if first > last:
        return 0.0, 0.0
    starts = np.arange(first, last + 1)
    values = correlation[starts]  # negative starts wrap to the end, where they belong
    sums = np.concatenate([[0.0], np.cumsum(whole**2)])
    begins, ends = (np.clip(edge, 0, len(whole)) for edge in (starts, starts + len(part)))
    own = np.sum(part**2)
    beneath = np.maximum(sums[ends] - sums[begins], 0.01 * own)
    values = values / np.sqrt(own * beneath + 1e-18)
    best = int(np.argmax(values))
    at = int(starts[best])
    return at + finer(correlation, at), float(values[best])


def find_by_seconds(reference, received, first, last):
    """Where `reference` begins, from its seconds, each by itself: a whole whose lag wanders by more than the
    period of a voice matches nowhere. None unless most seconds that were found at all agree."""
    lags = []
    for at in range(0, len(reference) - RATE + 1, RATE):
        piece = reference[at : at + RATE]
        if level_db(piece) < level_db(reference) - 25:
            continue
        start, match = find(piece, received, first + at, last + at)
        lags.append(start - at if match >= SECOND_MATCH_MIN else None)
    found = [lag for lag in lags if lag is not None]
    if 2 * len(found) <= len(lags):
        return None
    middle = float(np.median(found))
    agreeing = sum(abs(lag - middle) <= SEGMENT_REACH_S * RATE for lag in found)
    return middle if 2 * agreeing > len(lags) else None


def finer(correlation, at):
    """The peak's offset from sample `at`, from a parabola through it and its neighbours: -0.5 to 0.5."""
    before, peak, after = (correlation[(at + d) % len(correlation)] for d in (-1, 0, 1))
    bend = before - 2 * peak + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def repetitions(reference, received, lag):
    """The lag of every whole repetition: around each multiple of the reference's length, as clocks drift."""
    period, reach = len(reference), round(SEGMENT_REACH_S * RATE)
    around = []
    for step in range(int(-(lag // period)) - 1, int(len(received) // period) + 2):
        centre = round(lag + step * period)
        if centre < -reach or centre + period > len(received) + reach:
            continue
        at, match = find(reference, received, centre - reach, centre + reach)
        if match >= MATCH_MIN and at >= -0.5 and at + period <= len(received) + 0.5:
            around.append(at)
    return around


def measure(reference, received, full_scale, lag):
    """The figures of one copy of the reference that begins at `lag` in what was received."""
    start = round(lag)
    heard = np.zeros(len(reference))
    skipped = max(-start, 0)
    there = received[max(start, 0) : max(start + len(reference), 0)]
    heard[skipped : skipped + len(there)] = there
    segments = lags_by_second(reference, received, lag)
    third = len(reference) // 3
    ends = [lag_of_piece(reference, received, lag, at, third) for at in (0, len(reference) - third)]
    return {
        "pesq_wb": pesq_wb(reference, heard),
        "stoi": intelligibility(reference, aligned(reference, received, lag, segments)),
        "lag_ms": lag * 1000 / RATE,
        "drift_ms": None if None in ends else (ends[1] - ends[0]) * 1000 / RATE,
        "level_db": level_db(heard) - level_db(reference),
        "clipped": int(np.count_nonzero((full_scale >= start) & (full_scale < start + len(reference)))),
        "segments": segments,
    }


def aligned(reference, received, lag, segments):
    """What was heard, each second of it moved to where it was said. STOI compares 25 ms at a time and knows no
    delay, so that a buffer which moved by as much would pass for mumbling. A second that was not found stays
    where the one before it was."""
    heard = np.zeros(len(reference))
    for segment, at in zip(segments, range(0, len(reference), RATE)):
        if segment["lag_ms"] is not None:
            lag = segment["lag_ms"] * RATE / 1000
        end = len(reference) if segment is segments[-1] else at + RATE
        start = round(lag) + at
        skipped = max(-start, 0)
        piece = received[max(start, 0) : max(start + end - at, 0)]
        heard[at + skipped : at + skipped + len(piece)] = piece
    return heard


def lags_by_second(reference, received, lag):
    found = []
    for at in range(0, len(reference) - RATE // 2, RATE):
        own = lag_of_piece(reference, received, lag, at, min(RATE, len(reference) - at))
        found.append({"at_s": at // RATE, "lag_ms": None if own is None else own * 1000 / RATE})
    return found


def lag_of_piece(reference, received, lag, at, length):
    """The lag of one stretch of the reference, or None where it is silent or was not received."""
    piece = reference[at : at + length]
    if level_db(piece) < level_db(reference) - 25:
        return None
    reach = round(SEGMENT_REACH_S * RATE)
    centre = round(lag) + at
    begin = max(centre - reach, 0)
    found, match = find(piece, received[begin : max(centre + length + reach, 0)], 0, centre + reach - begin)
    return begin + found - at if match >= SECOND_MATCH_MIN else None


def pesq_wb(reference, heard):
    from pesq import NoUtterancesError, pesq

    try:
        return float(pesq(RATE, reference, heard, "wb"))
    except NoUtterancesError as error:
        raise Failure(4, "PESQ finds no speech in what was received") from error


def intelligibility(reference, heard):
    from pystoi import stoi

    return float(stoi(reference, heard, RATE))


def level_db(samples):
    return 10 * float(np.log10(np.mean(samples**2) + 1e-12))


def together(scores):
    """The medians of several repetitions, and the poorest of each figure."""

    def values(name):
        return [one[name] for one in scores if one[name] is not None]

    def over(choose, name, empty=None):
        return choose(values(name)) if values(name) else empty

    figures = ["pesq_wb", "stoi", "drift_ms", "level_db"]
    result = {name: over(lambda all_: float(np.median(all_)), name) for name in figures}
    result["lag_ms"] = scores[0]["lag_ms"]
    result["clipped"] = sum(one["clipped"] for one in scores)
    result["repetitions"] = len(scores)
    result["segments"] = [segment for one in scores for segment in one["segments"]]
    result["worst"] = {
        "pesq_wb": over(min, "pesq_wb"),
        "stoi": over(min, "stoi"),
        "drift_ms": over(lambda all_: max(all_, key=abs), "drift_ms"),
        "level_db": over(lambda all_: max(all_, key=abs), "level_db"),
        "clipped": max(one["clipped"] for one in scores),
    }
    return result


def rounded(value):
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    sys.exit(main())
