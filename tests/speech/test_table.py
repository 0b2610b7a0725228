"""table.py on recordings and rows made up here, and with a netsim that only writes what it is to."""

import contextlib
import io
import json
import pathlib
import stat
import sys
import tempfile
import unittest

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

import table

HERE = pathlib.Path(__file__).parent
RATE = 16_000
DELAY = {"median": 100.0, "p95": 110.0}

# Stands in for netsim: writes the sound kept beside it, prints rows, and shows what it was asked.
NETSIM = """#!{python}
import json, pathlib, shutil, sys
here, arguments = pathlib.Path(__file__).parent, sys.argv[1:]
(here / "asked.txt").write_text(" ".join(arguments))
if "--break" in arguments:
    sys.exit("seed 1: VIOLATION playout ran backwards")
folder = pathlib.Path(arguments[arguments.index("--wav") + 1]) / (arguments[arguments.index("--delays") + 1] + "ms")
folder.mkdir()
for sound in here.glob("*.wav"):
    shutil.copy(sound, folder)
print((here / "rows.json").read_text())
"""


def voice(seconds):
    _, samples = wavfile.read(HERE / "austen.wav")
    return np.resize(samples / 32768, round(seconds * RATE))


def later(samples, ms):
    return np.concatenate([np.zeros(round(ms * RATE / 1000)), samples])


def direction(**changed):
    figures = {
        "scenario": "clean", "seed": 1, "from": "ada", "to": "ben", "delay_ms": 5.0,
        "mouth_to_ear": DELAY, "concealed_pct": 1.0, "regret_ms": 7.0, "stretched_pct": 0.5, "redundancy_pct": 2.0,
        "neteq": {"delay": {"median": 150.0}, "ours": {"median": 50.0}, "concealed_pct": 4.0},
    }  # fmt: skip
    return {**figures, **changed}


class Pieces(unittest.TestCase):
    def test_pieces_have_speech_and_their_length_and_are_cut_where_it_is_quiet(self):
        said = voice(40)
        pieces = table.pieces_of(said, 4_000, len(said))
        self.assertEqual(len(pieces), 4)
        for (begin, end), (after, _) in zip(pieces, pieces[1:] + [(pieces[-1][1], 0)]):
            self.assertEqual(end, after)
            self.assertGreaterEqual(end - begin, 8 * RATE)
            self.assertLessEqual(end - begin, 10 * RATE)
            around = np.sqrt(np.mean(said[end - 320 : end + 320] ** 2))
            self.assertLess(around, 0.1 * np.sqrt(np.mean(said**2)))

    def test_a_stretch_without_speech_is_no_piece(self):
        said = np.concatenate([voice(9.7), np.zeros(20 * RATE), voice(9.7)])
        pieces = table.pieces_of(said, 0, len(said))
        for begin, end in pieces:
            self.assertTrue(begin < 10 * RATE or end > 30 * RATE, (begin, end))
        self.assertTrue(pieces)
        self.assertEqual(table.pieces_of(np.zeros(30 * RATE), 0, 30 * RATE), [])


class Scores(unittest.TestCase):
    def setUp(self):
        self.said = voice(22)

    def test_what_only_came_later_scores_the_maximum(self):
        for one in table.scores_of(self.said, later(self.said, 100), DELAY):
            self.assertGreater(one["pesq_wb"], 4.6)
            self.assertGreater(one["stoi"], 0.999)

    def test_what_was_said_before_there_was_a_connection_does_not_count(self):
        heard = later(self.said, 100)
        heard[: 3 * RATE] = 0
        scores = table.scores_of(self.said, heard, DELAY)
        self.assertGreater(min(one["pesq_wb"] for one in scores), 4.6)

    def test_gaps_and_noise_lower_the_quality(self):
        heard = later(self.said, 100)
        gappy = heard.copy()
        for at in range(RATE, len(gappy), RATE // 2):
            gappy[at : at + 960] = 0
        noisy = heard + 0.02 * np.random.default_rng(1).standard_normal(len(heard))
        for worse in (gappy, noisy):
            for one in table.scores_of(self.said, worse, DELAY):
                self.assertLess(one["pesq_wb"], 3)

    def test_a_delay_that_grows_within_a_piece_costs_little(self):
        heard = later(self.said, 100)
        quiet = 8 * RATE + int(np.argmin(np.convolve(heard[8 * RATE : 10 * RATE] ** 2, np.ones(1600), "valid"))) + 800
        grown = np.concatenate([heard[:quiet], np.zeros(RATE // 10), heard[quiet:]])
        scores = table.scores_of(self.said, grown, {"median": 150.0, "p95": 210.0})
        self.assertGreater(min(one["pesq_wb"] for one in scores), 4)
        self.assertGreater(min(one["stoi"] for one in scores), 0.95)

    def test_a_voice_that_never_arrived_scores_the_worst_or_nothing(self):
        self.assertEqual(table.scores_of(self.said, np.zeros(23 * RATE), DELAY), [])
        heard = later(self.said, 100)
        heard[2 * RATE :] = 0
        self.assertLess(table.scores_of(self.said, heard, DELAY)[-1]["pesq_wb"], 1.2)


class Rows(unittest.TestCase):
    def test_a_row_has_the_medians_and_neteqs_delay_in_place_of_ours(self):
        fast = {"median": 80.0, "p95": 90.0}
        sound = [{"pesq_wb": 4.0, "stoi": 0.9, "plcmos": None, "plcmos_said": None}]
        row = table.row("clean", 5.0, [direction(), direction(mouth_to_ear=fast)], sound)
        self.assertEqual((row["ours_ms"], row["neteq_ms"], row["ratio"]), (90, 190, 0.474))
        self.assertEqual((row["p95_ms"], row["concealed_share"]), (100, 0.25))
        self.assertEqual((row["pesq_wb"], row["plcmos"]), (4, None))

    def test_what_is_not_known_is_a_dash(self):
        never = {"delay": {"median": 0.0}, "ours": {"median": 0.0}, "concealed_pct": 0.0}
        row = table.row("clean", 5.0, [direction(neteq=never, regret_ms=None)], [])
        self.assertEqual((row["concealed_share"], row["regret_ms"], row["pesq_wb"]), (None, None, None))
        self.assertEqual(table.text([row]).split()[-4:], ["-", "-", "-", "-"])

    def test_differences_are_to_the_same_scenario_and_delay(self):
        now = [{"scenario": "wifi", "delay_ms": 5.0, "ours_ms": 80.0, "pesq_wb": 4.0}]
        then = [
            {"scenario": "wifi", "delay_ms": 60.0, "ours_ms": 150.0, "pesq_wb": 3.0},
            {"scenario": "wifi", "delay_ms": 5.0, "ours_ms": 95.0, "pesq_wb": None},
        ]
        less = table.differences(now, then)
        self.assertEqual((less[0]["ours_ms"], less[0]["pesq_wb"]), (-15, None))
        self.assertIn(" -15 ", table.text(less, signed=True))
        self.assertIsNone(table.differences(now, [])[0]["ours_ms"])


class Command(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        said = resample_poly(voice(12), 3, 1)
        heard = np.concatenate([np.zeros(4800), said])
        for name, samples in (("ada-said", said), ("ada-ben", heard)):
            limited = np.round(np.clip(samples, -1, 0.9999) * 32768).astype(np.int16)
            wavfile.write(self.folder / f"clean-1-{name}.wav", 48_000, limited)
        (self.folder / "rows.json").write_text(json.dumps([direction()]))
        self.netsim = self.folder / "netsim"
        self.netsim.write_text(NETSIM.format(python=sys.executable))
        self.netsim.chmod(self.netsim.stat().st_mode | stat.S_IXUSR)

    def run_with(self, *options, code=0):
        out, err = io.StringIO(), io.StringIO()
        own = ["--netsim", str(self.netsim), "--scenarios", "clean", "--delays", "5", "--seeds", "1"]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            got = table.main([*own, *options])
        self.assertEqual(got, code, err.getvalue())
        return out.getvalue() if code == 0 else err.getvalue()

    def test_a_table_is_kept_and_set_against_the_next(self):
        kept = str(self.folder / "kept")
        row = self.run_with("--json", kept).splitlines()[1].split()
        self.assertEqual(row[:5], ["clean", "5", "100", "200", "0.50"])
        self.assertGreater(float(row[12]), 4.5)
        again = self.run_with("--against", kept)
        self.assertIn("+0.00", again.splitlines()[-1])

    def test_what_stands_after_the_dashes_goes_to_netsim(self):
        self.run_with("--", "--without", "copies")
        asked = (self.folder / "asked.txt").read_text()
        self.assertTrue(asked.startswith("matrix clean --delays 5 --seeds 1 --json --wav "), asked)
        self.assertTrue(asked.endswith(" --without copies"), asked)

    def test_a_netsim_that_fails_or_is_not_there_is_told(self):
        self.assertIn("VIOLATION playout ran backwards", self.run_with("--", "--break", code=1))
        self.netsim.unlink()
        self.assertIn("cargo build --release -p netsim", self.run_with(code=3))

    def test_rows_that_cannot_be_read_are_refused_before_anything_is_played(self):
        junk = self.folder / "junk"
        junk.write_text("[1, 2]")
        self.assertIn("not rows", self.run_with("--against", str(junk), code=3))
        self.assertFalse((self.folder / "asked.txt").exists())


if __name__ == "__main__":
    unittest.main()
