"""Judges the few-shot classifier beside two peers: how many unseen pictures are right after 2, 5 and 10 of each label.

    few_shot.py --model FOLDER [--data FOLDER] [--program verge-bench-few-shot] [--draws 20] [--json]

FOLDER holds one folder per set, each with one folder per label; without it the sets of class_sets.py are made. Figures are
balanced accuracy on all pictures that were not drawn, mean over the draws; differences are paired, with the 95 % interval
of a bootstrap over draws. The peers see the same pictures through the same network: mean of the stride-16 features, then
scikit-learn's standardisation and logistic regression, or the nearest centroid. `held` is how often the interval that we
state for ourselves, from the drawn pictures alone, held the accuracy on the others.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = pathlib.Path(__file__).parent


def labels_of(folder):
    labels = []
    for number, label in enumerate(sorted(entry for entry in folder.iterdir() if entry.is_dir())):
        labels += [number] * sum(1 for file in label.iterdir() if file.suffix in (".jpg", ".jpeg", ".png"))
    return np.array(labels)


def peers(features, labels, drawn):
    rest = np.setdiff1d(np.arange(len(labels)), drawn)
    answers = {}
    for name, peer in (("logistic", make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))),
                       ("centroid", make_pipeline(StandardScaler(), NearestCentroid()))):
        peer.fit(features[drawn], labels[drawn])
        answers[name] = balanced_accuracy_score(labels[rest], peer.predict(features[rest]))
    return answers


def interval(differences):
    draw = np.random.default_rng(1)
    means = [np.mean(draw.choice(differences, len(differences))) for _ in range(2000)]
    return np.percentile(means, [2.5, 97.5])


def judge(options, folder):
    with tempfile.NamedTemporaryFile() as features:
        command = [options.program, "--model", options.model, "--folder", folder, "--features", features.name, "--draws",
                   str(options.draws), "--shots", options.shots]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        labels = labels_of(folder)
        plain = np.fromfile(features.name, np.float32).reshape(len(labels), -1)
    draws = [json.loads(line) for line in lines]
    for row in draws:
        row.update(peers(plain, labels, np.array(row.pop("drawn"))))
    for shots in sorted({row["shots"] for row in draws}):
        own = [row for row in draws if row["shots"] == shots]
        ours = np.array([row["accuracy"] for row in own])
        figure = {"set": folder.name, "labels": int(labels.max()) + 1, "shots": shots, "draws": len(own),
                  "ours": ours.mean(), "one_view": np.mean([row["one_view"] for row in own]),
                  "held": np.mean([row["low"] <= row["accuracy"] <= row["high"] for row in own]),
                  "refused": np.mean([not row["is_learned"] for row in own])}
        for peer in ("logistic", "centroid"):
            theirs = np.array([row[peer] for row in own])
            low, high = interval(ours - theirs)
            figure.update({peer: theirs.mean(), f"over_{peer}_low": low, f"over_{peer}_high": high})
        yield {key: round(value, 4) if isinstance(value, float) else value for key, value in figure.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="model folder of the detector")
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--program", default="build/release/bin/verge-bench-few-shot")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--shots", default="2,5,10")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    with tempfile.TemporaryDirectory() as made:
        data = options.data
        if data is None:
            data = pathlib.Path(made)
            subprocess.run([sys.executable, HERE / "class_sets.py", data], check=True)
        if not options.json:
            print("| set | labels | pictures of each | ours | one view | logistic | centroid | ours - logistic (95 %) | held | refused |")
            print("|---|---|---|---|---|---|---|---|---|---|")
        for folder in sorted(entry for entry in data.iterdir() if entry.is_dir()):
            for figure in judge(options, folder):
                if options.json:
                    print(json.dumps(figure), flush=True)
                    continue
                print("| {set} | {labels} | {shots} | **{ours:.3f}** | {one_view:.3f} | {logistic:.3f} | {centroid:.3f} | "
                      "{over_logistic_low:+.3f} to {over_logistic_high:+.3f} | {held:.0%} | {refused:.0%} |".format(**figure),
                      flush=True)


if __name__ == "__main__":
    main()
