"""Sounds: what `verge train audio` teaches beside plain features, on ESC-10, which stands in for machine sounds.

    sounds.py --bin DIR --clips FOLDER [--microphones tilt_up,telephone,...] [--classes N] [--json]

FOLDER holds one folder per class with clips named FOLD-….ogg, five folds. Default settings; the one-class detectors were
chosen with this set's figures in view, so those are optimistic.

One class: each class in turn is what is normal. Clips of folds 2 to 5 are learned from, those of fold 1 of all classes are
judged; a recording's score is the mean over its looks. Beside it: the nearest neighbour on mean and standard deviation of
a log-mel spectrogram, standardised, on the same clips. Figures are areas under ROC, averaged over classes; intervals from
2,000 bootstrap draws over the judged clips, the same draws for both.

Kinds: all ten classes are taught from four folds and judged on the fifth, five times. Beside it: logistic regression on the
same plain features. Interval of the difference by the same bootstrap.

Microphones: the clips judged, not those learned from, are heard through simulated microphones.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

DRAWS = 2000


def plain_features(path):
    """Mean and standard deviation over time of a log-mel spectrogram: 64 bands, 25 ms every 10 ms, 16 kHz."""
    decoded = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-ac", "1", "-ar", "16000", "-f", "f32le", "-"], capture_output=True, check=True)
    samples = np.frombuffer(decoded.stdout, np.float32).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160] * np.hanning(401)[:400]
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    mel = lambda hz: 2595 * np.log10(1 + hz / 700)
    corners = 700 * (10 ** (np.linspace(0, mel(8000), 66) / 2595) - 1)
    bins = np.arange(257) * 16000 / 512
    rise = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    fall = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    bands = np.log(power @ np.clip(np.minimum(rise, fall), 0, None).T + 1e-10)
    return np.concatenate([bands.mean(0), bands.std(0)])


def run(command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command[:3]))}: {result.stderr.strip()[-400:]}")
    return result.stdout


def look(binaries, model, clips, microphone):
    command = [binaries / "verge-bench-sounds", "look", "--model", model]
    if microphone:
        command += ["--microphone", microphone]
    return [json.loads(line) for line in run(command + clips).splitlines()]


def linked(folder, clips):
    folder.mkdir(parents=True)
    for clip in clips:
        os.symlink(clip, folder / clip.name)
    return folder


def bootstrap(measure, count, seed=1):
    draws = np.random.default_rng(seed).integers(0, count, (DRAWS, count))
    values = np.array([value for draw in draws if (value := measure(draw)) is not None])
    return [round(float(value), 4) for value in np.quantile(values, [0.025, 0.975])]


def one_class(args, clips, features, work):
    judged = [clip for clip in clips if clip.name.startswith("1-")]
    classes = sorted({clip.parent.name for clip in clips})[: args.classes]
    ours, plain, truths, heard = [], [], [], {name: [] for name in args.microphones}
    for name in classes:
        normal = [clip for clip in clips if clip.parent.name == name and not clip.name.startswith("1-")]
        model = work / f"normal-{name[:3]}"
        run([args.bin / "verge", "train", "audio", linked(work / f"clips-{name[:3]}", normal), "--out", model])
        truths.append([clip.parent.name != name for clip in judged])
        ours.append([row["values"][0] for row in look(args.bin, model, judged, "")])
        for microphone in args.microphones:
            heard[microphone].append([row["values"][0] for row in look(args.bin, model, judged, microphone)])
        scaler = StandardScaler().fit([features[clip] for clip in normal])
        bank = scaler.transform([features[clip] for clip in normal])
        rows = scaler.transform([features[clip] for clip in judged])
        plain.append(np.linalg.norm(rows[:, None] - bank[None], axis=2).min(1))
    truths, ours, plain = np.array(truths), np.array(ours), np.array(plain)

    def area(scores, draw):
        areas = []
        for truth, row in zip(truths, scores):
            if truth[draw].any() and not truth[draw].all():
                areas.append(roc_auc_score(truth[draw], row[draw]))
        return float(np.mean(areas))

    everything = np.arange(len(judged))
    result = {"classes": len(classes), "judged": len(judged), "auroc": round(area(ours, everything), 4),
              "auroc_interval": bootstrap(lambda draw: area(ours, draw), len(judged)),
              "plain_auroc": round(area(plain, everything), 4),
              "difference_interval": bootstrap(lambda draw: area(ours, draw) - area(plain, draw), len(judged))}
    result["microphones"] = {name: round(area(np.array(rows), everything), 4) for name, rows in heard.items()}
    if heard:
        result["drop_mean"] = round(result["auroc"] - float(np.mean(list(result["microphones"].values()))), 4)
    return result


def kinds(args, clips, features, work):
    right, plain_right = [], []
    for fold in "12345":
        learned = [clip for clip in clips if clip.name[0] != fold]
        judged = [clip for clip in clips if clip.name[0] == fold]
        folder = work / f"kinds-{fold}"
        for name in sorted({clip.parent.name for clip in clips}):
            linked(folder / name, [clip for clip in learned if clip.parent.name == name])
        model = work / f"kinds-model-{fold}"
        run([args.bin / "verge", "train", "audio", folder, "--out", model])
        for clip, row in zip(judged, look(args.bin, model, judged, "")):
            right.append(bool(row["values"]) and row["labels"][int(np.argmax(row["values"]))] == clip.parent.name)
        scaler = StandardScaler().fit([features[clip] for clip in learned])
        plain = LogisticRegression(max_iter=2000).fit(scaler.transform([features[c] for c in learned]), [c.parent.name for c in learned])
        said = plain.predict(scaler.transform([features[c] for c in judged]))
        plain_right += [name == clip.parent.name for name, clip in zip(said, judged)]
    right, plain_right = np.array(right, float), np.array(plain_right, float)
    return {"clips": len(right), "accuracy": round(float(right.mean()), 4),
            "accuracy_interval": bootstrap(lambda draw: right[draw].mean(), len(right)),
            "plain_accuracy": round(float(plain_right.mean()), 4),
            "difference_interval": bootstrap(lambda draw: (right - plain_right)[draw].mean(), len(right))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--clips", type=pathlib.Path, required=True)
    parser.add_argument("--microphones", type=lambda text: [name for name in text.split(",") if name], default=[])
    parser.add_argument("--classes", type=int, default=50, help="only the first of them are what is normal in turn")
    parser.add_argument("--only", choices=["one_class", "kinds"])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    clips = sorted(clip.resolve() for clip in args.clips.glob("*/*.ogg"))
    if not clips:
        raise SystemExit(f"no FOLDER/CLASS/FOLD-….ogg in {args.clips}")
    features = {clip: plain_features(clip) for clip in clips}
    result = {}
    with tempfile.TemporaryDirectory() as work:
        if args.only != "kinds":
            result["one_class"] = one_class(args, clips, features, pathlib.Path(work))
        if args.only != "one_class":
            result["kinds"] = kinds(args, clips, features, pathlib.Path(work))
    print(json.dumps(result) if args.json else json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
