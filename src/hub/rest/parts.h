// hub/rest/parts.h -- what the handlers of calls work with; all of it outlives them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/loop.h"
#include "base/metrics.h"
#include "base/time.h"
#include "hub/history/history.h"
#include "hub/identities/identities.h"
#include "hub/images/image_store.h"
#include "hub/mqtt/device_endpoint.h"
#include "hub/mqtt/ingest.h"
#include "hub/sessions/audit.h"
#include "hub/sessions/join_tokens.h"
#include "hub/sessions/people.h"
#include "hub/twins/twins.h"
#include "storage/append_log.h"

namespace verge::hub {

struct HubFacts {
  std::string host, version, ca_pem;
  std::int64_t started_us = 0;
  std::uint16_t mqtt_port = 0, https_port = 0, http_port = 0;
  std::function<void(const std::string& user)> password_changed;  ///< The first password's file is worth nothing then.
  std::function<void(const std::string& user)> sessions_ended;    ///< All of the person's: what is open for him closes.
};

struct HubParts {
  Loop& loop;
  const Clock& clock;
  Identities& identities;
  Twins& twins;
  DeviceEndpoint& endpoint;
  Ingest& ingest;
  storage::AppendLog& log;
  History& history;
  ImageStore& images;
  People& people;
  JoinTokens& join_tokens;
  Audit& audit;
  Metrics& metrics;
  const HubFacts& facts;
};

}  // namespace verge::hub
