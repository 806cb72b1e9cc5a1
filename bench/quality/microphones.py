"""What is understood through each microphone and noise: word errors with nothing before the voice detector, with the level
alone, and with stage `condition`.

    microphones.py --clips FOLDER [--cache FOLDER] [--program FILE] [--speech moonshine-tiny] [--seed 1] [--jobs 2]
                   [--microphones A,B] [--noises A,B] [--treatments none,level,condition] [--answers FILE] [--json]
                   [--svg FILE]

FOLDER holds the recordings that data/speech.json names, with their texts; those that are missing are left out and said.
Figures are word errors (substituted, lost and added words over the words of the text). Ratios and differences are paired:
the same clips through the same microphone and noise; their 95 % intervals come from 2,000 bootstrap draws over stretches of
at most 25 words. --answers keeps what was understood: an interrupted run goes on from there.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
DRAWS = 2000
STRETCH_WORDS = 25
DIGITS = "zero one two three four five six seven eight nine".split()


def words_of(text):
    text = text.lower().replace("’", "'").replace("mr.", "mister ").replace("—", " ").replace("-", " ")
    text = re.sub(r"\bmr\b", "mister", text)
    text = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit.group())]} ", text)
    words = re.sub(r"[^a-z ]", " ", text.replace("'", "")).split()
    return ["zero" if word in ("oh", "o") else word for word in words]


def errors_by_word(reference, heard):
    """For each word of the reference what it costs: 1 when lost or replaced, and the words added after it."""
    rows, columns = len(reference) + 1, len(heard) + 1
    cost = [[max(row, column) if row == 0 or column == 0 else 0 for column in range(columns)] for row in range(rows)]
    for row in range(1, rows):
        for column in range(1, columns):
            differs = reference[row - 1] != heard[column - 1]
            cost[row][column] = min(cost[row - 1][column - 1] + differs, cost[row - 1][column] + 1, cost[row][column - 1] + 1)
    errors = [0] * len(reference)
    row, column = rows - 1, columns - 1
    while row or column:
        if row and column and cost[row][column] == cost[row - 1][column - 1] + (reference[row - 1] != heard[column - 1]):
            row, column = row - 1, column - 1
            errors[row] += reference[row] != heard[column]
        elif row and cost[row][column] == cost[row - 1][column] + 1:
            row -= 1
            errors[row] += 1
        else:
            column -= 1
            errors[max(0, row - 1)] += 1
    return errors


class Judge:
    """Errors of each answer per stretch of words, so that draws keep neighbouring words together."""

    def __init__(self, texts):
        self.references = [words_of(text) for text in texts]
        self.stretches = []
        for clip, words in enumerate(self.references):
            count = max(1, round(len(words) / STRETCH_WORDS))
            edges = [round(part * len(words) / count) for part in range(count + 1)]
            self.stretches += [(clip, begin, end) for begin, end in zip(edges, edges[1:])]
        self.words = [end - begin for _, begin, end in self.stretches]
        draw = random.Random(1)
        self.draws = [draw.choices(range(len(self.stretches)), k=len(self.stretches)) for _ in range(DRAWS)]

    def errors(self, answer):
        by_word = [errors_by_word(words, words_of(text)) for words, text in zip(self.references, answer["texts"], strict=True)]
        return [sum(by_word[clip][begin:end]) for clip, begin, end in self.stretches]

    def share(self, errors, drawn=None):
        drawn = range(len(self.words)) if drawn is None else drawn
        return sum(errors[at] for at in drawn) / sum(self.words[at] for at in drawn)

    def interval(self, figure):
        """95 % of the draws of figure(drawn)."""
        values = sorted(figure(drawn) for drawn in self.draws)
        return values[int(0.025 * DRAWS)], values[int(0.975 * DRAWS)]


def listen(options, microphone, noise, treatments, clips):
    command = [options.program, "--clips", ",".join(map(str, clips)), "--voice", options.cache / "models/silero-vad/silero_vad.onnx",
               "--speech", options.cache / "models" / options.speech, "--microphones", microphone, "--noises", noise,
               "--treatments", ",".join(treatments), "--seed", str(options.seed)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"microphones.py: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def collect(options, clips):
    """All answers; those in the file of answers are not asked for again."""
    key = lambda answer: (answer["microphone"], answer["noise"], answer["treatment"])
    known = {}
    if options.answers and options.answers.exists():
        for line in options.answers.read_text().splitlines():
            answer = json.loads(line)
            if answer["seed"] == options.seed and answer.get("speech") == options.speech:
                known[key(answer)] = answer
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        waiting = []
        for noise in options.noises:
            for microphone in options.microphones:
                missing = [name for name in options.treatments if (microphone, noise, name) not in known]
                if missing:
                    waiting.append(pool.submit(listen, options, microphone, noise, missing, clips))
        for number, done in enumerate(concurrent.futures.as_completed(waiting)):
            for answer in done.result():
                answer["speech"] = options.speech
                known[key(answer)] = answer
                if options.answers:
                    with options.answers.open("a") as file:
                        file.write(json.dumps(answer) + "\n")
            print(f"\r{number + 1} of {len(waiting)}", end="", file=sys.stderr, flush=True)
        if waiting:
            print(file=sys.stderr)
    return known


def program_names(program):
    text = subprocess.run([program, "--names"], check=True, capture_output=True, text=True).stdout.splitlines()
    return [line.split() for line in text]


def summary(options, judge, errors):
    """The figures over the whole grid, for each treatment against the first and the second."""
    cells = [(microphone, noise) for noise in options.noises for microphone in options.microphones]
    mean = lambda treatment, drawn=None: statistics.fmean(judge.share(errors[*cell, treatment], drawn) for cell in cells)
    first = options.treatments[0]
    figures = []
    for treatment in options.treatments:
        figure = {"treatment": treatment, "cells": len(cells), "words": sum(judge.words), "mean": mean(treatment)}
        if treatment != first:
            figure["ratio"] = mean(treatment) / mean(first)
            figure["ratio_interval"] = judge.interval(lambda drawn: mean(treatment, drawn) / max(mean(first, drawn), 1e-9))
        if treatment not in (first, "level") and "level" in options.treatments:
            figure["ratio_level"] = mean(treatment) / mean("level")
            figure["ratio_level_interval"] = judge.interval(
                lambda drawn: mean(treatment, drawn) / max(mean("level", drawn), 1e-9))
            over = {cell: judge.share(errors[*cell, treatment]) - judge.share(errors[*cell, "level"]) for cell in cells}
            worst = max(over, key=over.get)
            figure.update(worse_than_level_by_most=over[worst], worst_cell=" ".join(worst),
                          cells_worse_by_more_than_0_01=sum(value > 0.01 for value in over.values()))
        if "clean" in options.noises:
            clean = [judge.share(errors[microphone, "clean", treatment]) for microphone in options.microphones]
            figure.update(clean_least=min(clean), clean_most=max(clean), clean_spread=max(clean) - min(clean))
        figures.append(figure)
    return figures


def print_table(options, judge, errors):
    for treatment in options.treatments:
        print(f"\n| {treatment} | " + " | ".join(options.noises) + " |")
        print("|---|" + "---|" * len(options.noises))
        for microphone in options.microphones:
            row = [judge.share(errors[microphone, noise, treatment]) for noise in options.noises]
            print(f"| {microphone} | " + " | ".join(f"{value:.3f}" for value in row) + " |")
        means = [statistics.fmean(judge.share(errors[microphone, noise, treatment]) for microphone in options.microphones)
                 for noise in options.noises]
        print("| mean | " + " | ".join(f"**{value:.3f}**" for value in means) + " |")


def colour(value):
    """White for no errors to dark red for half of the words and more."""
    part = min(1, value / 0.5) ** 0.7
    return "#" + "".join(f"{round(255 + part * (end - 255)):02x}" for end in (150, 30, 40))


def drawing(options, judge, errors):
    """A table of coloured cells for each treatment, side by side."""
    cell, line, left, top, gap = 44, 20, 104, 46, 22
    width = left + len(options.treatments) * (len(options.noises) * cell + gap)
    height = top + len(options.microphones) * line + 12
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
             'font-family="system-ui, sans-serif" font-size="11">', f'<rect width="{width}" height="{height}" fill="#ffffff"/>']
    for row, microphone in enumerate(options.microphones):
        parts.append(f'<text x="{left - 8}" y="{top + row * line + 14}" text-anchor="end" fill="#222">{microphone.replace("_", " ")}</text>')
    for number, treatment in enumerate(options.treatments):
        x0 = left + number * (len(options.noises) * cell + gap)
        parts.append(f'<text x="{x0}" y="16" font-weight="600" font-size="13" fill="#222">{treatment}</text>')
        for column, noise in enumerate(options.noises):
            parts.append(f'<text x="{x0 + column * cell + cell / 2}" y="{top - 8}" text-anchor="middle" fill="#222" '
                         f'font-size="9">{noise.replace("_", " ")}</text>')
            for row, microphone in enumerate(options.microphones):
                value = judge.share(errors[microphone, noise, treatment])
                x, y = x0 + column * cell, top + row * line
                parts.append(f'<rect x="{x}" y="{y}" width="{cell - 1}" height="{line - 1}" fill="{colour(value)}"/>')
                ink = "#fff" if value > 0.28 else "#222"
                parts.append(f'<text x="{x + cell / 2}" y="{y + 14}" text-anchor="middle" fill="{ink}">{value:.2f}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    split = lambda text: text.split(",")
    parser.add_argument("--clips", required=True, type=pathlib.Path)
    parser.add_argument("--cache", type=pathlib.Path, default=os.environ.get("VERGE_CACHE", pathlib.Path.home() / ".cache/verge"))
    parser.add_argument("--program", default="build/release/bin/verge-bench-microphones")
    parser.add_argument("--speech", default="moonshine-tiny", help="folder below models/ in the cache")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--microphones", type=split)
    parser.add_argument("--noises", type=split)
    parser.add_argument("--treatments", type=split, default=["none", "level", "condition"])
    parser.add_argument("--answers", type=pathlib.Path)
    parser.add_argument("--svg", type=pathlib.Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    microphones, noises = program_names(options.program)
    options.microphones = options.microphones or microphones
    options.noises = options.noises or noises
    texts = json.loads((HERE / "data/speech.json").read_text())["texts"]
    missing = [name for name in texts if not (options.clips / name).exists()]
    if missing:
        print(f"not there, left out: {', '.join(missing)}", file=sys.stderr)
    texts = {name: text for name, text in texts.items() if name not in missing}
    if not texts:
        raise SystemExit(f"microphones.py: {options.clips} has none of the recordings that data/speech.json names")
    answers = collect(options, [options.clips / name for name in texts])
    judge = Judge(list(texts.values()))
    errors = {key: judge.errors(answer) for key, answer in answers.items()}
    figures = summary(options, judge, errors)
    if options.json:
        for figure in figures:
            print(json.dumps(figure))
    else:
        print_table(options, judge, errors)
        print()
        for figure in figures:
            print("  ".join(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in figure.items()))
    if options.svg:
        options.svg.write_text(drawing(options, judge, errors))


if __name__ == "__main__":
    main()
