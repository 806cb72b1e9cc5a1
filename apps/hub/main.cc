// verge-hub -- the server: builds the hub from its arguments and runs until it is told to stop.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <malloc.h>

#include "base/log.h"
#include "embedded_files.h"
#include "hub/hub.h"

namespace {

using namespace verge;

constexpr const char* kExamples = R"(Examples:
  verge-hub --home /var/lib/verge                          everything on this machine only
  verge-hub --home hub --host hub.factory.local --listen 0.0.0.0
  verge-hub --home hub --extra-https-port 443              stock service SDKs ask for 443
  verge-hub --home /tmp/h --mqtt-port 0 --https-port 0 --http-port 0
                                                           free ports, written to /tmp/h/connection.json

The first start writes HOME/first-password (user admin) and HOME/connection.json (for the verge command).
Exit codes: 0 stopped as asked, 2 bad argument, 4 a port or the folder is taken, 5 cannot write, 8 a file is damaged.)";

struct Arguments {
  hub::HubOptions options;
  std::uint16_t extra_https_port = 0;
};

void describe(CLI::App& app, Arguments& arguments) {
  auto& options = arguments.options;
  app.add_option("--home", options.home, "Folder for everything the hub keeps; made at first start")->required();
  app.add_option("--host", options.host, "Name by which clients know this hub")->capture_default_str();
  app.add_option("--listen", options.listen, "Address of the TLS ports")->capture_default_str();
  app.add_option("--mqtt-port", options.mqtt_port, "MQTT over TLS; 0 picks a free one")->capture_default_str();
  app.add_option("--https-port", options.https_port, "REST, images, page, MQTT over WebSocket; 0 picks a free one")
      ->capture_default_str();
  app.add_option("--http-port", options.http_port, "The page without TLS, on loopback only; 0 picks a free one")
      ->capture_default_str();
  app.add_option("--extra-https-port", arguments.extra_https_port, "A second HTTPS port");
  app.add_option("--extra-host", options.extra_hosts, "Another name or address for the certificate; may be repeated");
  app.add_option("--log-partitions", options.log_partitions, "Partitions of the message log, when it is first made")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.footer(kExamples);
}

int failed(const Error& error) {
  log_error("hub", error);
  return exit_code_of(error.code);
}

int run(hub::HubOptions options) {
  Loop loop;
  auto hub = hub::Hub::start(loop, system_disk(), system_clock(), std::move(options));
  if (!hub) return failed(hub.error().within("start the hub"));
  loop.on_signal([&](int) { loop.stop(); });
  log_info("hub", "runs",
           {{"mqtt", (*hub)->mqtt_port()}, {"https", (*hub)->https_port()}, {"http", (*hub)->http_port()}});
  loop.run();
  (*hub)->stop();
  log_info("hub", "stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // A password's check takes 16 MiB for a moment. Such blocks go back to the system: left alone, the allocator would
  // learn to keep them.
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
  CLI::App app{"Verge's server: devices, twins, methods, messages, deployments, images and the page.", "verge-hub"};
  Arguments arguments;
  describe(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : exit_code_of(ErrorCode::invalid_argument);
  }
  if (app.count("--extra-https-port") > 0) arguments.options.extra_https_port = arguments.extra_https_port;
  arguments.options.page = embedded_files();
  return run(std::move(arguments.options));
}
