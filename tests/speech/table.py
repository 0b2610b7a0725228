#!/usr/bin/env python3
"""The table by which the voice is judged: how long a word takes, and how much of it arrives intact.

    table.py [--seeds N] [--delays MS,...] [--scenarios NAME,...] [--json FILE] [--against FILE] [-- NETSIM ARGUMENTS]

Plays each scenario at each delay in netsim, and prints a row for it. A figure is the median over all directions
and seeds, but for the sound: there it is the median over all pieces of 8 to 10 s in which somebody speaks.

ours, NetEQ  mouth to ear, ms: the median delay of our buffer, and of a model of WebRTC's on the same packets
ratio        ours by NetEQ's: below 1 we are faster
p95          the 95th percentile of ours, ms
concealed    speech made up, %: ours, NetEQ's, ours by NetEQ's
regret       mean delay beyond the least constant one with as little concealment, ms
stretch      sound inserted or removed by stretching, % of the speech
copies       share of the voice bytes spent on redundancy, %
PESQ, STOI   what was heard against what was said, see score.py
lowest       PESQ of the piece that a tenth is worse than: a line that spoils one way only hides in a median
PLCMOS       what a model of listeners says of lost packets, 1 to 5; `-` where its package is not installed
of said      the same of what was said: a conversation is cut out of a reading, and the model takes cuts for losses

Exit codes: 0 done, 1 netsim failed or broke an invariant, 2 wrong usage, 3 a file that cannot be read or written.
"""

import argparse
import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

import score
from score import RATE, Failure

SCENARIOS = "clean wifi wifi-stalls lte loss5 loss10 loss20 bursts spike route-step dsl-bufferbloat drift"
DELAYS = "5,60,150"
# PESQ is made for 8 to 12 s; a cut goes to the quietest place in between.
PIECE_MIN_S, PIECE_MAX_S = 8, 10
# A piece with less speech says little, and P.862 asks for more still.
SPEECH_MIN_S = 1.0
# A frame speaks within this of the loudest; pauses of the recordings are 40 dB below and more.
SPEECH_RANGE_DB = 35
# Dither and comfort noise are below, whatever is loudest.
SILENCE_DB = -70
FRAME = RATE // 50
# The buffer finds its depth, and the path its best way, in the first moments of a voice.
SETTLE_S = 0.5
# What is searched for a piece, beyond the delay that netsim tells.
REACH_S = 0.6
# In the table's order: key, heading, digits.
COLUMNS = [
    ("ours_ms", "ours", 0),
    ("neteq_ms", "NetEQ", 0),
    ("ratio", "ratio", 2),
    ("p95_ms", "p95", 0),
    ("concealed_pct", "concealed", 2),
    ("neteq_concealed_pct", "NetEQ", 2),
    ("concealed_share", "share", 2),
    ("regret_ms", "regret", 0),
    ("stretched_pct", "stretch", 2),
    ("redundancy_pct", "copies", 1),
    ("pesq_wb", "PESQ", 2),
    ("pesq_wb_low", "lowest", 2),
    ("stoi", "STOI", 3),
    ("plcmos", "PLCMOS", 2),
    ("plcmos_said", "of said", 2),
]


def main(arguments=None):
    options = parse(arguments)
    try:
        earlier = load(options.against) if options.against else None
        started = time.monotonic()
        rows = table(options)
        if options.json:
            save(options.json, rows)
    except Failure as failure:
        print(f"table.py: {failure}", file=sys.stderr)
        return failure.code
    print(text(rows))
    if earlier is not None:
        print(f"\nless {options.against}:\n{text(differences(rows, earlier), signed=True)}")
    print(f"seeds 1 to {options.seeds}, {time.monotonic() - started:.0f} s", file=sys.stderr)
    if plcmos_model() is None:
        print("PLCMOS needs the Python packages of requirements-voice.txt", file=sys.stderr)
    return 0


def parse(arguments):
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    own, further = arguments, []
    if "--" in arguments:
        own, further = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    root = pathlib.Path(__file__).parents[2]
    parser = argparse.ArgumentParser(
        description="Prints delay and quality of the voice for each scenario and delay.",
        epilog="What stands after -- is passed on to netsim.",
    )
    parser.add_argument("--seeds", type=at_least_one, default=3, metavar="N", help="seeds 1 to N (default 3)")
    parser.add_argument("--delays", type=numbers, default=DELAYS, metavar="MS,...", help=f"one way (default {DELAYS})")
    parser.add_argument("--scenarios", type=names, default=SCENARIOS, metavar="NAME,...", help="default: all networks")
    parser.add_argument("--netsim", default=str(root / "target/release/netsim"), metavar="PATH", help="the program")
    parser.add_argument("--jobs", type=at_least_one, default=2, metavar="N", help="processes (default 2)")
    parser.add_argument("--json", metavar="FILE", help="keep the rows here")
    parser.add_argument("--against", metavar="FILE", help="rows kept earlier: print the differences too")
    options = parser.parse_args(own)
    options.further = further
    return options


def at_least_one(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError("is less than 1")
    return int(text)


def numbers(text):
    return [float(part) for part in text.split(",")]


def names(text):
    return text.replace(",", " ").split()


def table(options):
    cells = [(scenario, delay_ms) for scenario in options.scenarios for delay_ms in options.delays]
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        asked = [pool.submit(cell, options.netsim, *one, options.seeds, options.further) for one in cells]
        rows = []
        try:
            for one, done in zip(cells, asked):
                rows.append(done.result())
                print(f"\r{len(rows)} of {len(cells)}: {one[0]:20}", end="", file=sys.stderr, flush=True)
        finally:
            pool.shutdown(cancel_futures=True)
            print(f"\r{'':40}\r", end="", file=sys.stderr)
    return rows


def cell(netsim, scenario, delay_ms, seeds, further):
    """One row: the scenario is played at this delay with all seeds, and scored."""
    with tempfile.TemporaryDirectory() as folder:
        command = [netsim, "matrix", scenario, "--delays", f"{delay_ms:g}", "--seeds", str(seeds)]
        command += ["--json", "--wav", folder, *further]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise Failure(3, f"{netsim}: {error.strerror}; `cargo build --release -p netsim` builds it") from error
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
            raise Failure(1, f"{' '.join(command[:4])}: {last}")
        directions = json.loads(done.stdout)
        sounds = pathlib.Path(folder) / f"{delay_ms:g}ms"
        pieces = [piece for direction in directions for piece in scores(sounds, direction)]
    return row(scenario, delay_ms, directions, pieces)


def row(scenario, delay_ms, directions, pieces):
    def middle(values):
        values = [value for value in values if value is not None]
        return float(np.median(values)) if values else None

    def figure(*path):
        return middle([at(direction, path) for direction in directions])

    # The model only replaces the buffer: all other stations stay.
    neteq = middle(
        one["mouth_to_ear"]["median"] + one["neteq"]["delay"]["median"] - one["neteq"]["ours"]["median"]
        for one in directions
    )
    figures = {
        "scenario": scenario,
        "delay_ms": delay_ms,
        "ours_ms": figure("mouth_to_ear", "median"),
        "neteq_ms": neteq,
        "p95_ms": figure("mouth_to_ear", "p95"),
        "concealed_pct": figure("concealed_pct"),
        "neteq_concealed_pct": figure("neteq", "concealed_pct"),
        "regret_ms": figure("regret_ms"),
        "stretched_pct": figure("stretched_pct"),
        "redundancy_pct": figure("redundancy_pct"),
        "pieces": len(pieces),
    }
    figures["ratio"] = share(figures["ours_ms"], neteq)
    figures["concealed_share"] = share(figures["concealed_pct"], figures["neteq_concealed_pct"])
    for name in ("pesq_wb", "stoi", "plcmos", "plcmos_said"):
        figures[name] = middle(piece[name] for piece in pieces)
    qualities = [piece["pesq_wb"] for piece in pieces]
    figures["pesq_wb_low"] = float(np.percentile(qualities, 10)) if qualities else None
    return score.rounded(figures)


def at(value, path):
    for name in path:
        value = value[name]
    return value


def share(part, whole):
    return None if not whole or part is None else part / whole


def scores(folder, direction):
    """The figures of each piece of one direction."""
    stem = f"{pathlib.Path(direction['scenario']).stem}-{direction['seed']}"
    said, _ = score.read(folder / f"{stem}-{direction['from']}-said.wav")
    heard, _ = score.read(folder / f"{stem}-{direction['from']}-{direction['to']}.wav")
    return scores_of(said, heard, direction["mouth_to_ear"])


def scores_of(said, heard, mouth_to_ear):
    usual, late = (round(mouth_to_ear[name] / 1000 * RATE) for name in ("median", "p95"))
    sounding = np.flatnonzero(heard)
    if sounding.size == 0:
        return []
    # Before there was a connection nothing could be heard, and what is said last is still under way.
    first = max(int(sounding[0]) - usual, 0) + round(SETTLE_S * RATE)
    last = min(len(said), len(heard) - late - FRAME)
    return [scores_of_piece(said[begin:end], heard, begin, usual) for begin, end in pieces_of(said, first, last)]


def pieces_of(said, first, last):
    """Where to cut what was said: at the quietest places 8 to 10 s apart. Pieces without speech are left out."""
    levels = frame_levels(said)
    speaks = levels > max(levels.max(initial=-np.inf) - SPEECH_RANGE_DB, SILENCE_DB)
    # A tenth of a second around each frame: words have holes, too.
    quiet = np.convolve(10 ** (levels / 10), np.ones(5) / 5, mode="same")
    begin, end, pieces = -(-first // FRAME), min(last // FRAME, len(levels)), []
    frames = RATE // FRAME
    while end - begin >= PIECE_MIN_S * frames:
        window = quiet[begin + PIECE_MIN_S * frames : min(begin + PIECE_MAX_S * frames, end)]
        # Of equally quiet places the middle one, for delays that vary.
        lowest = np.flatnonzero(window <= window.min() * 1.01) if window.size else np.array([0])
        cut = begin + PIECE_MIN_S * frames + int(lowest[len(lowest) // 2])
        if speaks[begin:cut].sum() >= SPEECH_MIN_S * frames:
            pieces.append((begin * FRAME, cut * FRAME))
        begin = cut
    return pieces


def frame_levels(samples):
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    return 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)


def scores_of_piece(piece, heard, begin, usual):
    """Where a delay cannot be found in the sound, as little of it arrived, netsim's is taken."""
    reach = round(REACH_S * RATE)
    start, match = score.find(piece, heard[begin : begin + usual + reach + len(piece)], 0, usual + reach)
    lag = begin + (start if match >= score.MATCH_MIN else usual)
    segments = score.lags_by_second(piece, heard, lag)
    lags = [round(one["lag_ms"] * RATE / 1000) for one in segments if one["lag_ms"] is not None]
    # The whole of it, when the delay grew or shrank within: PESQ aligns each utterance by itself.
    from_, to = (lags[0], lags[-1]) if lags else (round(lag), round(lag))
    excerpt = heard[max(from_, 0) : max(to + len(piece), 0)]
    plcmos = plcmos_model()
    return {
        "pesq_wb": pesq_or_worst(piece, excerpt),
        "stoi": score.intelligibility(piece, score.aligned(piece, heard, lag, segments)),
        "plcmos": None if plcmos is None else plcmos(excerpt),
        "plcmos_said": None if plcmos is None else plcmos(piece),
    }


def pesq_or_worst(said, heard):
    worst = 1.0  # nothing of a piece with speech was heard
    if score.level_db(heard) < SILENCE_DB:
        return worst  # PESQ divides by what there is
    try:
        return score.pesq_wb(said, heard)
    except Failure:
        return worst


def plcmos_model():
    """Scores a recording, or None where the model is not installed."""
    if not hasattr(plcmos_model, "loaded"):
        plcmos_model.loaded = load_plcmos()
    return plcmos_model.loaded


def load_plcmos():
    try:
        from speechmos.plcmos import PLCMOS
    except ImportError:
        return None
    model = PLCMOS()

    def run(heard):
        # It imagines listeners by chance: the same ones for each recording.
        np.random.seed(1)
        return float(model(np.clip(heard, -1, 1))["plcmos"])

    return run


def differences(rows, earlier):
    """These rows less those of the same scenario and delay."""
    before = {(one["scenario"], one["delay_ms"]): one for one in earlier}
    result = []
    for one in rows:
        other = before.get((one["scenario"], one["delay_ms"]), {})
        result.append({"scenario": one["scenario"], "delay_ms": one["delay_ms"]})
        for name, _, _ in COLUMNS:
            known = one.get(name) is not None and other.get(name) is not None
            result[-1][name] = one[name] - other[name] if known else None
    return result


def text(rows, signed=False):
    head = [["scenario", "one way", *(heading for _, heading, _ in COLUMNS)]]
    lines = head + [[one["scenario"], f"{one['delay_ms']:g}", *(written(one, *c, signed) for c in COLUMNS)] for one in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(part.ljust(width) if n == 0 else part.rjust(width) for n, (part, width) in enumerate(zip(line, widths)))
        for line in lines
    )


def written(one, name, _, digits, signed):
    value = one.get(name)
    if value is None:
        return "-"
    # No minus before what is rounded to nothing.
    return f"{round(value, digits) + 0.0:{'+' if signed else ''}.{digits}f}"


def load(path):
    try:
        rows = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        return [{**one, "scenario": one["scenario"], "delay_ms": one["delay_ms"]} for one in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Failure(3, f"{path}: not rows that --json kept ({error})") from error


def save(path, rows):
    try:
        pathlib.Path(path).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise Failure(3, f"{path}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
