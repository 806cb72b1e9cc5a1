"""Writes the models that session_test.cc loads: python3 make_tiny.py (needs the package onnx)."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(rows):
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    bias = np.array([0.5, 0, -0.5], np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"]),
         helper.make_node("ArgMax", ["y"], ["best"], axis=1, keepdims=0)],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 3]),
         helper.make_tensor_value_info("best", TensorProto.INT64, [rows])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


onnx.save(model("rows"), "tiny_free.onnx")
onnx.save(model(1), "tiny_fixed.onnx")
