"""Visual anomaly: ours beside k-NN on plain pooled features and a plain PatchCore, on pictures with generated defects.

    anomaly.py --bin DIR --network DIR --sets FOLDER [--align auto|on|off] [--json]

FOLDER is made by defect_sets.py. Each surface has good pictures to learn from, and good and defective ones to judge. All
methods see the same pictures and the same trunk; ours runs with default settings. The figure is the area under ROC over
whole pictures; differences and intervals come from 2,000 bootstrap draws over the judged pictures, the same draws for
all methods.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import cv2
import numpy as np
import onnx
import onnxruntime
from sklearn.neighbors import NearestNeighbors

DRAWS = 2000
STRIDE_16 = 256  # Channels of the trunk's last value of stride 16.


def trunk_of(network, side):
    """The trunk's stride 16, as the plain methods use it."""
    model = onnx.load(network / "model.onnx")
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in onnx.shape_inference.infer_shapes(model).graph.value_info}
    full = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    ends = [n.output[0] for n in model.graph.node if shapes.get(n.output[0], [])[1:] == [STRIDE_16, full // 16, full // 16]]
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = side
    needed, kept = {ends[-1]}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    del model.graph.node[:], model.graph.output[:], model.graph.value_info[:]
    model.graph.node.extend(reversed(kept))
    model.graph.output.append(onnx.helper.make_tensor_value_info(ends[-1], onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Plain:
    def __init__(self, network, side):
        self.card = json.loads((network / "card.json").read_text())["picture"]
        self.session, self.side = trunk_of(network, side), side
        self.input = self.session.get_inputs()[0].name

    def maps(self, paths):
        result = []
        for path in paths:
            picture = cv2.resize(cv2.imread(str(path)), (self.side, self.side)).astype(np.float32)
            if self.card["colours"] == "rgb":
                picture = picture[..., ::-1]
            picture = (picture - np.array(self.card["mean"])) / np.array(self.card["deviation"])
            result.append(self.session.run(None, {self.input: picture.transpose(2, 0, 1)[None].astype(np.float32)})[0][0])
        return np.stack(result)


def pooled_neighbours(good, judged):
    """The distance of a picture's pooled features to the nearest good picture's."""
    pooled = [np.concatenate([maps.mean((2, 3)), maps.max((2, 3))], 1) for maps in (good, judged)]
    deviation = pooled[0].std(0) + 1e-6
    return NearestNeighbors(n_neighbors=1).fit(pooled[0] / deviation).kneighbors(pooled[1] / deviation)[0][:, 0]


def plain_patchcore(good, judged):
    """3 x 3 means, 64 principal axes, 2,000 patches drawn by chance, the largest distance of the picture."""

    def rows(maps):
        smooth = np.stack([[cv2.blur(channel, (3, 3), borderType=cv2.BORDER_REPLICATE) for channel in one] for one in maps])
        return smooth.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])

    known, asked = rows(good), rows(judged)
    centre = known.mean(0)
    axes = np.linalg.eigh(np.cov((known - centre).T))[1][:, -64:]
    bank = ((known - centre) @ axes)[np.random.default_rng(0).permutation(len(known))[:2000]]
    distances = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(bank).kneighbors((asked - centre) @ axes)[0]
    return distances.reshape(len(judged), -1).max(1)


def area(good, bad):
    return float((bad[:, None] > good[None]).mean() + 0.5 * (bad[:, None] == good[None]).mean())


def ours(options, good, judged):
    with tempfile.TemporaryDirectory() as folder:
        teach = [options.bin / "verge-bench-teach", "anomaly", "--network", options.network, "--model", folder, "--align", options.align, *good]
        taught = json.loads(subprocess.run(teach, check=True, stdout=subprocess.PIPE, text=True).stdout)
        look = [options.bin / "verge-bench-teach", "look", "--model", folder, *judged]
        lines = subprocess.run(look, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return taught, [json.loads(line) for line in lines]


def shares_on_defect(folder, paths, seen):
    """Of the alarms on defects whose place is known: how many have their strongest box on it."""
    hits = []
    for path, answer in zip(paths, seen, strict=True):
        mask_file = folder / "masks" / path.parent.name / path.name
        if answer["boxes"] and mask_file.exists():
            mask = cv2.imread(str(mask_file), cv2.IMREAD_GRAYSCALE)
            left, top, right, bottom = answer["boxes"][0]
            part = mask[int(top * mask.shape[0]) : round(bottom * mask.shape[0]), int(left * mask.shape[1]) : round(right * mask.shape[1])]
            hits.append(bool(part.any()))
    return round(float(np.mean(hits)), 3) if hits else None


def judge(options, folder):
    good = sorted((folder / "good").glob("*"))
    judged = sorted((folder / "test" / "good").glob("*"))
    fine = len(judged)
    kinds = [path.name for path in sorted((folder / "test").iterdir()) if path.name != "good"]
    spans = {}
    for kind in kinds:
        paths = sorted((folder / "test" / kind).glob("*"))
        spans[kind] = slice(len(judged), len(judged) + len(paths))
        judged += paths
    plain = Plain(options.network, 320)
    known, asked = plain.maps(good), plain.maps(judged)
    taught, seen = ours(options, good, judged)
    values = np.array([answer["value"] for answer in seen])
    scores = {"ours": values, "pooled k-NN": pooled_neighbours(known, asked), "plain PatchCore": plain_patchcore(known, asked)}
    draw = np.random.default_rng(1)
    draws = [(draw.integers(0, fine, fine), draw.integers(fine, len(judged), len(judged) - fine)) for _ in range(DRAWS)]
    line = {"surface": folder.name, "good": len(good), "judged": [fine, len(judged) - fine], "way": taught["way"], "ways": taught["ways"], "is_aligned": taught["is_aligned"], "align": taught["align"], "teach_s": round(taught["seconds"], 1)}
    sampled = {name: np.array([area(values[a], values[b]) for a, b in draws]) for name, values in scores.items()}
    for name, values in scores.items():
        low, high = np.quantile(sampled[name], [0.025, 0.975])
        line[name] = {"area": round(area(values[:fine], values[fine:]), 3), "interval": [round(float(low), 3), round(float(high), 3)]}
        line[name]["kinds"] = {kind: round(area(values[:fine], values[span]), 3) for kind, span in spans.items()}
        if name != "ours":
            line[name]["ours_better_by_at_least"] = round(float(np.quantile(sampled["ours"] - sampled[name], 0.025)), 3)
    line["false_alarms"] = round(float((scores["ours"][:fine] >= 1).mean()), 3)
    line["found"] = round(float((scores["ours"][fine:] >= 1).mean()), 3)
    line["strongest_box_on_defect"] = shares_on_defect(folder, judged[fine:], seen[fine:])
    return line, sampled


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="where verge-bench-teach is")
    parser.add_argument("--network", required=True, type=pathlib.Path, help="model folder of nanodet-coco")
    parser.add_argument("--sets", required=True, type=pathlib.Path, help="folder with one folder per surface")
    parser.add_argument("--align", choices=["auto", "on", "off"], default="auto", help="whether ours lays pictures over a good one")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    options = parser.parse_args()
    lines, sampled = [], []
    for folder in sorted(path for path in options.sets.iterdir() if path.is_dir()):
        line, draws = judge(options, folder)
        lines.append(line)
        sampled.append(draws)
        if options.json:
            print(json.dumps(line), flush=True)
            continue
        print(f"{line['surface']}: {'laid over, ' if line['is_aligned'] else ''}{line['way']}; alarms on good {line['false_alarms']}, found {line['found']}, on the defect {line['strongest_box_on_defect']}, taught in {line['teach_s']} s")
        for name in ("ours", "pooled k-NN", "plain PatchCore"):
            print(f"  {name:16} {line[name]['area']:.3f} {line[name]['interval']} {line[name]['kinds']} {line[name].get('ours_better_by_at_least', '')}", flush=True)
    for name in ("ours", "pooled k-NN", "plain PatchCore"):
        mean = np.mean([draws[name] for draws in sampled], 0)
        gain = np.mean([draws["ours"] - draws[name] for draws in sampled], 0)
        summary = {"method": name, "mean_area": round(float(np.mean([line[name]["area"] for line in lines])), 3)}
        summary["interval"] = [round(float(value), 3) for value in np.quantile(mean, [0.025, 0.975])]
        if name != "ours":
            summary["ours_better_by"] = [round(float(value), 3) for value in np.quantile(gain, [0.025, 0.975])]
        print(json.dumps(summary))


main()
