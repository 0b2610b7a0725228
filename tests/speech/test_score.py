"""score.py against recordings whose defects are known, because these tests make them."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample, resample_poly

import score

HERE = pathlib.Path(__file__).parent
VOICE = HERE / "austen.wav"


class Score(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        rate, samples = wavfile.read(VOICE)
        self.assertEqual(rate, 16_000)
        self.voice = samples / 32768
        self.noise = np.random.default_rng(1)

    def run_on(self, samples, *options, rate=16_000, code=0):
        received = self.folder / "received.wav"
        limited = np.clip(samples, -1, 32767 / 32768)
        wavfile.write(received, rate, np.round(limited * 32768).clip(-32768, 32767).astype(np.int16))
        return self.run_file(received, *options, code=code)

    def run_file(self, received, *options, code=0):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            got = score.main(["--reference", str(VOICE), "--received", str(received), *options])
        self.assertEqual(got, code, err.getvalue())
        if code != 0:
            self.assertEqual(out.getvalue(), "")
            self.assertEqual(err.getvalue().count("\n"), 1, "one line says what is wrong")
            return err.getvalue()
        return json.loads(out.getvalue())

    def after(self, seconds, samples=None, tail_s=0.5):
        samples = self.voice if samples is None else samples
        return np.concatenate([np.zeros(round(seconds * 16_000)), samples, np.zeros(round(tail_s * 16_000))])

    def test_the_same_recording_scores_the_maximum_at_its_own_lag(self):
        result = self.run_on(self.after(0.1234375))
        self.assertGreater(result["pesq_wb"], 4.6)
        self.assertGreater(result["stoi"], 0.999)
        self.assertAlmostEqual(result["lag_ms"], 123.4375, delta=0.02)
        self.assertAlmostEqual(result["drift_ms"], 0, delta=0.02)
        self.assertAlmostEqual(result["level_db"], 0, delta=0.1)
        self.assertEqual(result["clipped"], 0)

    def test_a_lag_between_two_samples_is_found(self):
        fine = resample_poly(self.voice, 10, 1)
        shifted = resample_poly(np.concatenate([np.zeros(1604), fine]), 1, 10)  # 160.4 samples
        self.assertAlmostEqual(self.run_on(shifted)["lag_ms"], 10.025, delta=0.02)

    def test_another_sample_rate_scores_alike(self):
        result = self.run_on(resample_poly(self.after(0.25), 3, 1), rate=48_000)
        self.assertGreater(result["pesq_wb"], 4.5)
        self.assertAlmostEqual(result["lag_ms"], 250, delta=0.1)
        result = self.run_on(resample_poly(self.after(0.25), 441, 160), rate=44_100)
        self.assertGreater(result["pesq_wb"], 4.5)

    def test_noise_lowers_the_quality_and_not_the_lag(self):
        noisy = self.after(0.2) + 0.02 * self.noise.standard_normal(len(self.after(0.2)))
        result = self.run_on(noisy)
        self.assertLess(result["pesq_wb"], 2.5)
        self.assertAlmostEqual(result["lag_ms"], 200, delta=0.2)

    def test_a_missing_stretch_lowers_the_quality_and_has_no_lag(self):
        gappy = self.voice.copy()
        gappy[2 * 16_000 : 3 * 16_000] = 0
        result = self.run_on(self.after(0.2, gappy))
        self.assertLess(result["pesq_wb"], 4)
        self.assertLess(result["stoi"], 0.95)
        self.assertIsNone(result["segments"][2]["lag_ms"])
        self.assertAlmostEqual(result["segments"][1]["lag_ms"], 200, delta=0.5)

    def test_a_delay_that_grows_within_the_call_shows_as_drift_and_by_the_second(self):
        later = np.concatenate([self.voice[: 6 * 16_000], np.zeros(800), self.voice[6 * 16_000 :]])
        result = self.run_on(self.after(0.2, later))
        self.assertAlmostEqual(result["drift_ms"], 50, delta=2)
        self.assertAlmostEqual(result["segments"][1]["lag_ms"], 200, delta=1)
        self.assertAlmostEqual(result["segments"][8]["lag_ms"], 250, delta=1)
        self.assertGreater(result["stoi"], 0.98)

    def test_a_slower_clock_shows_as_drift(self):
        slower = resample(self.voice, round(len(self.voice) * 1.0003))
        result = self.run_on(self.after(0.2, slower))
        self.assertAlmostEqual(result["drift_ms"], 1.95, delta=0.4)  # 0.03 % of two thirds of 9.74 s

    def test_a_lag_that_wanders_too_far_for_the_whole_to_match_is_found_by_the_second(self):
        seconds = [self.voice[at : at + 16_000] for at in range(0, len(self.voice), 16_000)]
        wandering = np.concatenate([np.concatenate([second, np.zeros(208)]) for second in seconds])  # 13 ms each
        result = self.run_on(self.after(0.2, wandering))
        self.assertAlmostEqual(result["lag_ms"], 252, delta=20)
        self.assertAlmostEqual(result["segments"][1]["lag_ms"], 213, delta=1)
        self.assertAlmostEqual(result["segments"][8]["lag_ms"], 304, delta=1)

    def test_level_and_clipping_are_told(self):
        self.assertAlmostEqual(self.run_on(self.after(0.1, self.voice / 2))["level_db"], -6.02, delta=0.1)
        result = self.run_on(self.after(0.1, self.voice * 8))
        loud = int(np.count_nonzero(np.abs(self.voice * 8) >= 0.9999))
        self.assertAlmostEqual(result["clipped"], loud, delta=loud * 0.05)

    def test_each_whole_repetition_of_a_loop_is_scored_and_the_worst_told(self):
        bad = self.voice + 0.05 * self.noise.standard_normal(len(self.voice))
        cut = self.voice[-3 * 16_000 :]
        result = self.run_on(np.concatenate([cut, self.voice, bad, self.voice, self.voice[:16_000]]), "--loop")
        self.assertEqual(result["repetitions"], 3)
        self.assertAlmostEqual(result["lag_ms"], 3000, delta=0.1)
        self.assertGreater(result["pesq_wb"], 4.6)
        self.assertLess(result["worst"]["pesq_wb"], 2)

    def test_a_recording_that_begins_inside_the_speech_is_found_only_with_lead(self):
        late = self.voice[8_000:]
        result = self.run_on(late, "--max-lead", "1")
        self.assertAlmostEqual(result["lag_ms"], -500, delta=0.1)

    def test_what_is_not_the_reference_is_refused(self):
        other = HERE / "arctic.wav"
        self.assertIn("not in the recording", self.run_file(other, code=4))
        self.assertIn("not in the recording", self.run_on(np.zeros(160_000), code=4))
        self.assertIn("not in the recording", self.run_on(self.after(2), "--max-delay", "0.5", code=4))

    def test_files_that_cannot_be_read_are_refused(self):
        self.assertIn("No such file", self.run_file(self.folder / "none.wav", code=3))
        for junk in (b"", b"RI", b"this is no sound at all, whatever its name"):
            path = self.folder / "junk.wav"
            path.write_bytes(junk)
            self.run_file(path, code=3)


if __name__ == "__main__":
    unittest.main()
