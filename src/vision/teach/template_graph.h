// vision/teach/template_graph.h -- the tolerant comparison with good pictures as an ONNX graph
// (vision/recognition/compare.h).
//
// Threads: pure function.
#pragma once

#include "models/onnx_graph.h"
#include "vision/recognition/template_defects.h"

namespace verge::vision {

/// Input "picture" [1, 1, height, width] uint8; outputs "excess" [1, 2, height, width] float32, equal to
/// TemplateInspector::excess_of(), and "good" [1, 3, height, width] uint8, the pictures themselves.
///
/// shift  pixels that edges may lie elsewhere, 1..8
Result<models::OnnxModel> template_graph(const TemplatePictures& pictures, int shift);

}  // namespace verge::vision
