"""Writes tiny_detector.onnx, which detect_test.cc loads: python3 make_tiny_detector.py (needs the package onnx).

A NanoDet-shaped head over a 32 x 32 picture: the score of a cell's first label is the mean of the first channel in the
cell (stride 8); each box reaches one stride to every side. Strides 16 and 32 find nothing."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LABELS, BINS = 2, 11
nodes = [helper.make_node("Slice", ["x", "first", "second", "axis"], ["channel"]),
         helper.make_node("AveragePool", ["channel"], ["means"], kernel_shape=[8, 8], strides=[8, 8]),
         helper.make_node("Reshape", ["means", "cells"], ["column"]),
         helper.make_node("Concat", ["column", "zeros"], ["scores8"], axis=2)]
constants = {"first": np.array([0], np.int64), "second": np.array([1], np.int64), "axis": np.array([1], np.int64),
             "cells": np.array([1, 16, 1], np.int64), "zeros": np.zeros((1, 16, 1), np.float32)}
outputs = [helper.make_tensor_value_info("scores8", TensorProto.FLOAT, [1, 16, LABELS])]
for stride, cells in ((8, 16), (16, 4), (32, 1)):
    logits = np.zeros((1, 4, BINS), np.float32)
    logits[:, :, 1] = 40
    constants[f"b{stride}"] = np.tile(logits.reshape(1, 1, 4 * BINS), (1, cells, 1))
    nodes.append(helper.make_node("Identity", [f"b{stride}"], [f"boxes{stride}"]))
    outputs.append(helper.make_tensor_value_info(f"boxes{stride}", TensorProto.FLOAT, [1, cells, 4 * BINS]))
    if stride > 8:
        constants[f"s{stride}"] = np.zeros((1, cells, LABELS), np.float32)
        nodes.append(helper.make_node("Identity", [f"s{stride}"], [f"scores{stride}"]))
        outputs.append(helper.make_tensor_value_info(f"scores{stride}", TensorProto.FLOAT, [1, cells, LABELS]))
graph = helper.make_graph(nodes, "tiny", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
                          outputs, [numpy_helper.from_array(value, name) for name, value in constants.items()])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, "tiny_detector.onnx")
