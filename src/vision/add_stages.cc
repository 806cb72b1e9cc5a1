#include "vision/add_stages.h"

#include "vision/access/access_stage.h"
#include "vision/live.h"
#include "vision/logic/line.h"
#include "vision/logic/rule.h"
#include "vision/logic/zone.h"
#include "vision/motion/changes.h"
#include "vision/motion/motion.h"
#include "vision/pictures.h"
#include "vision/recognition/anomaly.h"
#include "vision/recognition/classify.h"
#include "vision/recognition/compare.h"
#include "vision/recognition/detect.h"
#include "vision/recognition/faces.h"
#include "vision/recognition/pose.h"
#include "vision/simulated/simulated_camera.h"
#include "vision/tracking/track.h"

namespace verge::vision {

void add_stages(pipeline::Catalog& catalog) {
  catalog.add(simulated_camera_kind());
  catalog.add(motion_kind());
  catalog.add(detect_kind());
  catalog.add(faces_kind());
  catalog.add(track_kind());
  catalog.add(classify_kind());
  catalog.add(anomaly_kind());
  catalog.add(compare_kind());
  catalog.add(pose_kind());
  catalog.add(changes_kind());
  catalog.add(zone_kind());
  catalog.add(line_kind());
  catalog.add(rule_kind());
  catalog.add(access_kind());
  catalog.add(pictures_kind());
  catalog.add_live_renderer(render_live);
}

}  // namespace verge::vision
