#!/usr/bin/env python3
"""Whether it pays to compute several pictures in one run of a detector: milliseconds per picture over the size of the batch.

    bench/batch.py MODEL.onnx [--batches 1,2,4,8] [--rounds 21]        needs bench/requirements.txt

The catalogue's detectors take one picture, so the graph is rewritten for each size: inputs, outputs and the shapes that its
Reshape and Resize nodes are told. A rewritten graph must give what the pictures give one by one, else nothing is measured. ONNX Runtime, spinning
off, as verge-infer sets it. The sizes take turns, so that what else the machine does meets all of them; each turn is a warm
run and then eight pictures. `2 x 1` is what verge-infer does with two cameras on two processors: two runs of one thread each, at once.
"""
import argparse
import concurrent.futures
import os
import pathlib
import statistics
import time

import numpy
import onnx
import onnxruntime

import figures

PICTURES = 8  # Of a turn.
TOLERANCE = 1e-4  # Of the greatest output: another batch adds in another order.


def with_batch(path, size):
    """The model's bytes with a batch of that size."""
    model = onnx.load(path)
    graph = model.graph
    del graph.value_info[:]
    for info in [*graph.input, *graph.output]:
        first = info.type.tensor_type.shape.dim[0]
        if first.HasField("dim_value") and first.dim_value == 1:
            first.dim_value = size
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    shapes |= {node.input[3] for node in graph.node if node.op_type == "Resize" and len(node.input) > 3}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants.update({node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"})
    for name in shapes:
        shape = onnx.numpy_helper.to_array(constants[name]).copy()
        if shape.size and shape[0] == 1:
            shape[0] = size
            constants[name].CopyFrom(onnx.numpy_helper.from_array(shape, constants[name].name))
    return model.SerializeToString()


def open_session(model, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def check(sessions, pictures, name):
    """Batches give what single pictures give."""
    single = [sessions[1].run(None, {name: picture}) for picture in pictures]
    for size, session in sessions.items():
        outputs = session.run(None, {name: numpy.concatenate(pictures[:size])})
        for i, whole in enumerate(outputs):
            one_by_one = numpy.concatenate([single[k][i] for k in range(size)])
            worst = float(numpy.abs(whole - one_by_one).max()) / max(1e-9, float(numpy.abs(one_by_one).max()))
            if whole.shape != one_by_one.shape or worst > TOLERANCE:
                raise SystemExit(f"bench: a batch of {size} gives another output {i} ({worst:.1e} of its greatest); this graph cannot be rewritten so")


def turn(run, size):
    """Milliseconds per picture of one turn."""
    run()
    begin = time.perf_counter()
    for _ in range(PICTURES // size):
        run()
    return 1e3 * (time.perf_counter() - begin) / PICTURES


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--batches", type=lambda text: [int(word) for word in text.split(",")], default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    sizes = sorted({1, *options.batches})
    if any(PICTURES % size for size in sizes):
        parser.error(f"--batches: give divisors of {PICTURES}")
    models = {size: with_batch(options.model, size) for size in sizes}
    cores = sorted(os.sched_getaffinity(0))
    draw = numpy.random.default_rng(1)
    works = {}
    for threads in (1, 2):
        sessions = {size: open_session(models[size], threads) for size in sizes}
        wanted = sessions[1].get_inputs()[0]
        if wanted.type == "tensor(uint8)":
            pictures = [draw.integers(0, 256, wanted.shape, numpy.uint8) for _ in range(PICTURES)]
        else:
            pictures = [draw.random(wanted.shape, numpy.float32) for _ in range(PICTURES)]
        check(sessions, pictures, wanted.name)
        for size, session in sessions.items():
            batch = {wanted.name: numpy.concatenate(pictures[:size])}
            works[str(threads), size] = (threads, lambda session=session, batch=batch: session.run(None, batch), size)
    pool = concurrent.futures.ThreadPoolExecutor(2)
    session, one = open_session(models[1], 1), {wanted.name: pictures[0]}
    both = lambda: list(pool.map(lambda _: session.run(None, one), range(2)))
    works["2 x 1", 1] = (2, both, 2)  # Two pictures a call.

    seen = {key: [] for key in works}
    for _ in range(options.rounds):
        for key, (threads, run, size) in works.items():
            os.sched_setaffinity(0, set(cores[:threads]))
            seen[key].append(turn(run, size))
    os.sched_setaffinity(0, set(cores))
    print(f"{options.model.name}, {figures.machine()}")
    print("| threads | batch | ms per picture | beside one by one | lower end |\n|---|---|---|---|---|")
    for (threads, size), times in seen.items():
        ratio, low = figures.paired_ratio(seen["1" if threads == "1" else "2", 1], times)
        print(f"| {threads} | {size} | {statistics.median(times):.1f} | {ratio:.3f} | {low:.3f} |")


main()
