// agent/engine/docker_engine.h -- the Docker Engine API over its unix socket; Podman's service speaks it too.
//
// Source: Docker Engine API 1.41. Podman 4.3 differs where a comment in the .cc says so.
// Threads: as ContainerEngine.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "agent/engine/container_engine.h"

namespace verge {
struct HttpCall;
struct HttpResponse;
}  // namespace verge

namespace verge::agent {

class DockerEngine final : public ContainerEngine {
 public:
  explicit DockerEngine(std::filesystem::path socket) : socket_(std::move(socket)) {}

  Result<EngineInfo> info() override;
  Result<std::vector<Container>> list(const Labels& labels) override;
  Result<Container> inspect(const std::string& id) override;
  Result<std::string> create(const std::string& name, const Json& body) override;
  Status start(const std::string& id) override;
  Status stop(const std::string& id, int grace_s) override;
  Status kill(const std::string& id) override;
  Status remove(const std::string& id) override;
  Result<std::string> logs(const std::string& id, const LogQuery& query) override;
  Status ensure_network(const std::string& name, const std::string& subnet, const std::string& gateway,
                        const Labels& labels) override;
  Status remove_network(const std::string& name, const Labels& labels) override;
  std::optional<EngineImage> find_image(const std::string& reference_or_id) override;
  Status load_image(const std::filesystem::path& archive) override;
  Status remove_image(const std::string& reference_or_id) override;

 private:
  HttpCall call(std::string_view method, std::string_view target) const;
  Result<HttpResponse> send(const HttpCall& call, std::string_view doing) const;
  Result<Json> get_json(std::string_view target, std::string_view doing) const;
  Result<Json> post_json(std::string_view target, const Json& body, std::string_view doing) const;

  std::filesystem::path socket_;
};

/// The text of a log answer: plain, or in frames of 8 header bytes (stream, 0, 0, 0, length big-endian). A cut
/// frame at the end is dropped.
std::string text_of_log_frames(std::string_view bytes);

}  // namespace verge::agent
