// connectors/camera/camera.h -- source kind `camera`: pictures from whatever its `url` names.
//
//   path of a film                 film.h
//   path of a folder of pictures   picture_folder.h
//   rtsp://, rtsps://              rtsp_camera.h, kept alive by live_camera.h
//   onvif://                       onvif_camera.h, which asks where the camera's RTSP streams are
//   http://, https://              http_camera.h, kept alive by live_camera.h: motion JPEG or snapshots
//   /dev/videoN                    v4l2_camera.h, kept alive by live_camera.h; not yet seen on hardware
//
// ${NAME} in the url is replaced by that environment variable, so that passwords stay out of pipeline files
// (camera_url.h). Metrics: camera_counters.h.
#pragma once

#include "connectors/camera/camera_url.h"
#include "pipeline/stage.h"

namespace verge::connectors {

pipeline::Kind<pipeline::Source> camera_kind(Environment environment = process_environment());

}  // namespace verge::connectors
