// package, image, run: from a pipeline file to a module image, into the hub, or run as it is.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <memory>
#include <unistd.h>

#include "base/json.h"
#include "base/process.h"
#include "cli/commands.h"
#include "cli/runtime_layers.h"
#include "cli/solution.h"
#include "cli/solution_images.h"
#include "cli/solution_models.h"
#include "packaging/archive.h"
#include "packaging/package.h"

namespace verge::cli {
namespace {

struct PackageArguments {
  std::filesystem::path pipeline, solution, archive;
  std::string name, target;
  std::vector<std::string> files, layers;
  bool is_in_hub = false;
};

/// "PATH=SOURCE" where PATH lies beside the pipeline in the image; "SOURCE" alone keeps its name.
Result<std::pair<std::string, std::filesystem::path>> placed_file(const std::string& text) {
  const auto equals = text.find('=');
  const std::filesystem::path source = equals == std::string::npos ? text : text.substr(equals + 1);
  const auto path = equals == std::string::npos ? source.filename().string() : text.substr(0, equals);
  if (path.empty()) return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" must be PATH=SOURCE", text)};
  if (std::filesystem::exists(source)) return std::pair{path, source};
  return Error{ErrorCode::not_found, fmt::format("{} is not there (from \"{}\")", source.string(), text)};
}

Json to_json(const std::vector<packaging::PackagedModule::Part>& parts) {
  Json layers = Json::array();
  for (const auto& part : parts)
    layers.push_back({{"name", part.name}, {"digest", part.digest}, {"bytes", part.bytes}});
  return layers;
}

/// All images of a solution, as `verge up` makes them, without a hub.
Status package_solution(const Context& context, const PackageArguments& arguments) {
  const bool is_table = context.form == OutputForm::table;
  const Progress progress = [&](const std::string& line) {
    if (is_table) fmt::print("{}\n", line);
  };
  VERGE_TRY(const auto solution, load_solution(arguments.solution, find_cache()));
  VERGE_TRY(const auto models, make_models(solution, context.home, progress));
  VERGE_TRY(auto store, packaging::BlobStore::open(context.home.images()));
  VERGE_TRY(const auto digests, package_images(solution, models, store, progress));
  VERGE_TRY(const auto runtime, packaging::load_runtime(store, packaging::this_platform()));
  Json images = Json::array();
  for (const auto& [image, digest] : digests) {
    VERGE_TRY(const auto parts, image_parts(store, runtime, digest));
    images.push_back({{"image", image}, {"digest", digest}, {"sizes", layer_sizes(parts)}, {"layers", to_json(parts)}});
  }
  context.print_list(images, {{"IMAGE", "image"}, {"DIGEST", "digest"}, {"COMPRESSED", "sizes"}});
  return Done{};
}

Status package_pipeline(const Context& context, const PackageArguments& arguments) {
  packaging::PackageOptions options;
  options.pipeline = arguments.pipeline;
  options.reference = arguments.name;
  options.needs = arguments.layers;
  for (const auto& text : arguments.files) {
    VERGE_TRY(const auto file, placed_file(text));
    place_files(options.files, file.first, file.second);
  }
  VERGE_TRY(const auto parts, find_runtime_parts());
  VERGE_CHECK(check_pipeline(parts.program, arguments.pipeline));
  VERGE_TRY(auto store, packaging::BlobStore::open(context.home.images()));
  VERGE_TRY(const auto lock, store.lock());
  const bool is_table = context.form == OutputForm::table;
  VERGE_TRY(const auto runtime, ensure_runtime(store, parts, [&](const std::string& line) {
              if (is_table) fmt::print("{}\n", line);
            }));
  VERGE_TRY(const auto module, packaging::package_module(store, runtime, options));
  if (!arguments.archive.empty()) {
    VERGE_CHECK(packaging::write_archive_file(store, module.manifest.digest, options.reference, arguments.archive));
  }
  if (!is_table) {
    context.print({{"reference", options.reference},
                   {"digest", module.manifest.digest},
                   {"layers", to_json(module.parts)},
                   {"bytes", module.image_bytes},
                   {"own_bytes", module.layer.descriptor.size_bytes}});
    return Done{};
  }
  fmt::print("{}  {}\n{} compressed: {}\n", options.reference, module.manifest.digest, to_size(module.image_bytes),
             layer_sizes(module.parts));
  if (!arguments.archive.empty()) fmt::print("Written: {}\n", arguments.archive.string());
  return Done{};
}

Status push_image(const Context& context, const PackageArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const auto local, packaging::parse_reference(arguments.name));
  VERGE_TRY(const auto target,
            packaging::parse_reference(arguments.target.empty() ? arguments.name : arguments.target));
  VERGE_TRY(const auto store, packaging::BlobStore::open(context.home.images()));
  VERGE_TRY(const auto manifest, store.find_reference(local.text()));
  if (!manifest) {
    return Error{ErrorCode::not_found,
                 fmt::format("there is no image {} here; `verge image list` shows what is", local.text())};
  }
  VERGE_TRY(const auto digest, registry_of(hub).push(store, manifest->digest, target.repository, target.version()));
  const auto reference =
      fmt::format("{}:{}/{}:{}", hub.address().host, hub.address().https_port, target.repository, target.version());
  if (context.form == OutputForm::json) {
    context.print({{"reference", reference}, {"digest", digest}});
  } else {
    fmt::print("{}  {}\n", reference, digest);
  }
  return Done{};
}

Result<Json> images_in_hub(const Context& context) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const auto catalogue, hub.get("/v2/_catalog"));
  Json images = Json::array();
  const Json* repositories = find_member(catalogue, {"repositories"});
  for (const auto& repository : repositories == nullptr ? Json::array() : *repositories) {
    VERGE_TRY(const auto tags, hub.get("/v2/" + to_cell(repository) + "/tags/list"));
    const Json* names = find_member(tags, {"tags"});
    for (const auto& tag : names == nullptr || !names->is_array() ? Json::array() : *names) {
      images.push_back({{"reference", to_cell(repository) + ":" + to_cell(tag)}});
    }
  }
  return images;
}

Result<Json> images_here(const Context& context) {
  VERGE_TRY(const auto store, packaging::BlobStore::open(context.home.images()));
  VERGE_TRY(const auto index, store.index());
  Json images = Json::array();
  for (const auto& manifest : index.manifests) {
    const auto name = manifest.annotations.find("org.opencontainers.image.ref.name");
    images.push_back(
        {{"reference", name == manifest.annotations.end() ? "-" : name->second}, {"digest", manifest.digest}});
  }
  return images;
}

Status list_images(const Context& context, const PackageArguments& arguments) {
  VERGE_TRY(const auto images, arguments.is_in_hub ? images_in_hub(context) : images_here(context));
  context.print_list(images, {{"IMAGE", "reference"}, {"DIGEST", "digest"}});
  return Done{};
}

/// Becomes verge-infer, so that signals and the exit code are its own.
Status run_pipeline(const PackageArguments& arguments, const std::vector<std::string>& rest) {
  find_onnxruntime();
  const auto program = (program_folder() / "verge-infer").string();
  std::vector<std::string> words{program, "--pipeline", arguments.pipeline.string()};
  words.insert(words.end(), rest.begin(), rest.end());
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  std::fflush(stdout);
  execv(program.c_str(), pointers.data());
  return Error{ErrorCode::not_found, program + " cannot be started; it lies beside verge after a build"};
}

}  // namespace

void add_package_commands(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<PackageArguments>();

  auto* package = app.add_subcommand("package", "Make a module image from a pipeline file")->group("Images");
  auto* solution = package->add_option("--solution", arguments->solution, "Folder with solution.json: all its images")
                       ->check(CLI::ExistingDirectory);
  package->add_option("pipeline", arguments->pipeline, "Pipeline file; what it names is added by itself")
      ->check(CLI::ExistingFile)
      ->excludes(solution);
  package->add_option("--name", arguments->name, "Name of the image: shop/door:1")->excludes(solution);
  package->add_option("--file,--model", arguments->files,
                      "PATH=SOURCE: a file or model folder at PATH beside the pipeline; may be repeated");
  package->add_option(
      "--layer", arguments->layers,
      "Runtime layer that no source of the file asks for: media (FFmpeg), which films and cameras bring "
      "by themselves; may be repeated");
  package->add_option("--out", arguments->archive, "Write it as one file too, as container engines load it");
  package->footer(
      "Examples:\n  verge package door.yaml --name shop/door:1\n"
      "  verge package door.yaml --name shop/door:1 --model models/people=people/ --out door.tar\n"
      "  verge package --solution examples/first_light -o json");
  package->callback([&context, arguments] {
    if (!arguments->solution.empty()) {
      context.status = package_solution(context, *arguments);
    } else if (arguments->pipeline.empty() || arguments->name.empty()) {
      context.status = Error{ErrorCode::invalid_argument,
                             "name what to package: a pipeline file with --name, or a folder with --solution"};
    } else {
      context.status = package_pipeline(context, *arguments);
    }
  });

  auto* image =
      app.add_subcommand("image", "Images on this machine and in the hub")->group("Images")->require_subcommand(1);
  image->footer("Examples:\n  verge image list\n  verge image list --hub\n  verge image push shop/door:1");
  auto* push = image->add_subcommand("push", "Bring a packaged image to the hub");
  push->add_option("image", arguments->name, "As `verge package --name` called it")->required();
  push->add_option("--as", arguments->target, "Another name in the hub");
  push->callback([&context, arguments] { context.status = push_image(context, *arguments); });
  auto* list = image->add_subcommand("list", "Packaged images");
  list->add_flag("--hub", arguments->is_in_hub, "Those in the hub's image store");
  list->callback([&context, arguments] { context.status = list_images(context, *arguments); });

  auto* run =
      app.add_subcommand("run", "Run a pipeline here, without agent and hub")->group("Images")->prefix_command();
  run->add_option("pipeline", arguments->pipeline, "Pipeline file")->required()->check(CLI::ExistingFile);
  run->footer("Examples:\n  verge run door.yaml\n  verge run door.yaml --metrics off");
  run->callback([&context, arguments, run] { context.status = run_pipeline(*arguments, run->remaining()); });
}

}  // namespace verge::cli
