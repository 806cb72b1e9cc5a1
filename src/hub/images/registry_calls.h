// hub/images/registry_calls.h -- the image store as an OCI registry under /v2/.
//
// Source: OCI distribution specification 1.1, pull and push categories (chunked, monolithic, mount). Devices and
// modules may pull; pushing needs the right to write the registry.
// Threads: adds routes; handlers run on the slow workers.
#pragma once

#include "base/http_server.h"
#include "hub/images/image_store.h"
#include "hub/rest/router.h"

namespace verge::hub {

void add_registry_calls(Router& router, ImageStore& images);
/// How to receive the body of a /v2/ request: to a file, and only from callers that may push.
BodyPlan plan_registry_body(const Router& router, const ImageStore& images, const HttpRequest& head);

}  // namespace verge::hub
