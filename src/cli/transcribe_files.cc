#include "cli/transcribe_files.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fmt/format.h>
#include <mutex>
#include <set>
#include <thread>

#include "audio/transcripts/dataset.h"
#include "audio/transcripts/transcriber.h"
#include "base/crypto.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/time.h"
#include "cli/teach_vision.h"

namespace verge::cli {
namespace {

using std::filesystem::path;

constexpr std::size_t kRecordingsMax = 100'000;
constexpr std::size_t kFinishedBytesMax = 64U << 20U;
constexpr std::string_view kEndings[] = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"};

struct Job {
  path file;
  std::string source;  ///< As the clips name it: with the name of the folder that was given before it.
  std::string digest;
  std::uint64_t bytes = 0;
  double part = 0;  ///< Done, 0..1.
};

/// Recordings that are wholly transcribed: a line each, synced. A torn last line is as if it were not there.
class FinishedList {
 public:
  static Result<std::unique_ptr<FinishedList>> open(const path& file) {
    auto list = std::make_unique<FinishedList>();
    std::string text;
    if (std::filesystem::exists(file)) {
      VERGE_TRY(text, read_file(file, kFinishedBytesMax));
    }
    text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
    for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1)) {
      const auto json = parse_json(rest.substr(0, rest.find('\n')));
      if (json && json->is_object()) list->digests_.insert(json->value("digest", ""));
    }
    VERGE_TRY(list->file_, system_disk().open(file, true));
    VERGE_CHECK(list->file_->truncate(text.size()));
    list->bytes_ = text.size();
    return list;
  }
  bool has(const std::string& digest) const { return digests_.contains(digest); }
  Status add(const Job& job) {
    const auto line = to_text({{"source", job.source}, {"digest", job.digest}}) + "\n";
    VERGE_CHECK(file_->write_at(bytes_, line));
    VERGE_CHECK(file_->sync());
    bytes_ += line.size();
    digests_.insert(job.digest);
    return Done{};
  }

 private:
  std::unique_ptr<DiskFile> file_;
  std::uint64_t bytes_ = 0;
  std::set<std::string> digests_;
};

std::string lower_ending(const path& file) {
  std::string ending = file.extension().string();
  std::ranges::transform(ending, ending.begin(), [](char letter) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  });
  return ending;
}

/// Letters, digits, dot, dash; of a name at most 80.
std::string plain_name(std::string name) {
  std::ranges::replace_if(
      name,
      [](char letter) {
        return !((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                 (letter >= '0' && letter <= '9') || letter == '-' || letter == '_');
      },
      '-');
  return name.substr(0, 80);
}

/// The same recording and place give the same name: what was done before a kill is known again.
std::string media_name(const Job& job, double begin_s) {
  return fmt::format("media/{}-{}-{:08}.flac", plain_name(path(job.source).stem().string()), job.digest.substr(7, 8),
                     std::llround(begin_s * 1000));
}

Result<std::vector<Job>> find_jobs(const TranscribeRequest& request) {
  std::vector<Job> jobs;
  std::set<path> seen;
  for (const auto& input : request.inputs) {
    VERGE_TRY(const auto files, find_recordings(input));
    std::error_code ignored;
    const bool is_folder = std::filesystem::is_directory(input, ignored);
    // With the folder's own name: Monday's and Tuesday's gate.wav are two recordings.
    const path above = std::filesystem::weakly_canonical(input, ignored).filename();
    for (const auto& file : files) {
      std::error_code problem;
      if (!seen.insert(std::filesystem::weakly_canonical(file, problem)).second) continue;
      Job job{file, (is_folder ? above / std::filesystem::relative(file, input, problem) : file.filename()).string(),
              "", 0, 0};
      job.bytes = std::max<std::uint64_t>(1, std::filesystem::file_size(file, problem));
      jobs.push_back(std::move(job));
    }
  }
  if (jobs.empty()) {
    return Error{
        ErrorCode::not_found,
        fmt::format("transcribe \"{}\": there is no recording; files must end in .wav, .flac, .ogg, .opus, .mp3 "
                    "or .aiff",
                    request.inputs.empty() ? "" : request.inputs.front().string())};
  }
  return jobs;
}

Result<std::unique_ptr<audio::Dataset>> open_or_create(const TranscribeRequest& request) {
  if (std::filesystem::exists(request.target / "dataset.yaml"))
    return audio::Dataset::open(request.target, audio::Dataset::Access::change);
  return audio::Dataset::create(
      request.target,
      {.language = request.language, .made_by = fmt::format("verge data transcribe, model {}", request.model)});
}

Result<audio::TranscriberOptions> find_models(const TranscribeRequest& request) {
  audio::TranscriberOptions options;
  options.detector = find_cache() / "models/silero-vad/silero_vad.onnx";
  options.recognizer =
      std::filesystem::is_directory(request.model) ? path(request.model) : find_cache() / "models" / request.model;
  for (const auto& file : {options.detector, options.recognizer / "decoder.onnx"}) {
    if (!std::filesystem::exists(file)) {
      return Error{ErrorCode::not_found,
                   fmt::format("transcribe with the model \"{}\": there is no {}; fetch it with tools/fetch.sh, set "
                               "VERGE_CACHE, or give a folder with encoder.onnx, decoder.onnx and tokenizer.json",
                               request.model, file.string())};
    }
  }
  return options;
}

/// What the threads share.
class TranscribeWork {
 public:
  TranscribeWork(const TranscribeRequest& request, std::unique_ptr<audio::Dataset> dataset,
                 std::unique_ptr<FinishedList> finished, std::vector<Job> jobs,
                 const std::function<void(const TranscribeProgress&)>& tell)
      : request_(request),
        dataset_(std::move(dataset)),
        finished_(std::move(finished)),
        jobs_(std::move(jobs)),
        tell_(tell) {
    outcome_.recordings = jobs_.size();
  }

  Result<TranscribeOutcome> run(const audio::TranscriberOptions& options) {
    VERGE_CHECK(skip_finished());
    const auto count =
        std::min<std::size_t>(static_cast<std::size_t>(std::max(1, request_.threads)), std::max<std::size_t>(1, left_));
    std::vector<std::unique_ptr<audio::Transcriber>> transcribers;
    for (std::size_t at = 0; at < count && left_ > 0; ++at) {
      VERGE_TRY(auto made, audio::Transcriber::load(options));
      transcribers.push_back(std::move(made));
    }
    {
      std::vector<std::jthread> threads;
      for (auto& transcriber : transcribers) threads.emplace_back([this, &transcriber] { work(*transcriber); });
    }
    if (fatal_) return *fatal_;
    outcome_.clips = dataset_->clips().size();
    outcome_.took_s = static_cast<double>(system_clock().monotonic_us() - begin_us_) / 1e6;
    return outcome_;
  }

 private:
  Status skip_finished() {
    for (auto& job : jobs_) {
      auto digest = sha256_digest_of_file(job.file);
      if (!digest) {
        outcome_.problems.push_back(digest.error().message);
        job.part = 1;
        continue;
      }
      job.digest = *std::move(digest);
      bytes_all_ += static_cast<double>(job.bytes);
      if (finished_->has(job.digest)) {
        job.part = 1;
        ++outcome_.known;
        bytes_before_ += static_cast<double>(job.bytes);
        continue;
      }
      ++left_;
    }
    return Done{};
  }

  void work(audio::Transcriber& transcriber) {
    for (std::size_t at = next_++; at < jobs_.size(); at = next_++) {
      auto& job = jobs_[at];
      if (job.part >= 1) continue;
      if (is_over()) return;
      const auto status = transcribe(transcriber, job);
      const std::lock_guard lock(mutex_);
      job.part = 1;
      if (!status && !fatal_) outcome_.problems.push_back(status.error().message);
      report();
    }
  }

  Status transcribe(audio::Transcriber& transcriber, Job& job) {
    double seconds = 0;
    VERGE_CHECK(transcriber.transcribe(
        job.file, {.is_known =
                       [&](double begin_s) {
                         const std::lock_guard lock(mutex_);
                         return dataset_->find(media_name(job, begin_s)) != nullptr;
                       },
                   .keep = [&](audio::Transcriber::Found found) { return keep(job, std::move(found)); },
                   .tell =
                       [&](double done_s, double all_s) {
                         const std::lock_guard lock(mutex_);
                         seconds = all_s;
                         job.part = all_s > 0 ? std::min(0.999, done_s / all_s) : 0;
                         report();
                       }}));
    const std::lock_guard lock(mutex_);
    outcome_.sound_s += seconds;
    auto added = finished_->add(job);
    if (!added) fatal_ = added.error();
    return added;
  }

  Status keep(const Job& job, audio::Transcriber::Found found) {
    auto& clip = found.clip;
    clip.media = media_name(job, clip.begin_s);
    clip.source = job.source.substr(0, audio::Clip::kNameBytesMax);
    clip.speaker = request_.speaker;
    clip.room = request_.room;
    clip.device = request_.device;
    const std::lock_guard lock(mutex_);
    // The sound first: a label whose sound is not there would be a lie.
    auto kept = dataset_->add_media(clip.media, found.sound);
    if (kept) clip.digest = *kept;
    auto status = kept ? dataset_->put(std::move(clip)) : Status(kept.error());
    if (!status) fatal_ = status.error();
    if (status) ++outcome_.new_clips;
    return status;
  }

  bool is_over() {
    const std::lock_guard lock(mutex_);
    return fatal_.has_value();
  }

  void report() {
    if (!tell_) return;
    double done = 0;
    TranscribeProgress progress{0, jobs_.size(), outcome_.new_clips, 0, 0};
    for (const auto& job : jobs_) {
      done += job.part * static_cast<double>(job.bytes);
      if (job.part >= 1) ++progress.recordings_done;
    }
    progress.part = bytes_all_ > 0 ? std::min(1.0, done / bytes_all_) : 1;
    const double new_bytes = done - bytes_before_;
    const double took_s = static_cast<double>(system_clock().monotonic_us() - begin_us_) / 1e6;
    if (new_bytes > 0) progress.left_s = took_s * (bytes_all_ - done) / new_bytes;
    tell_(progress);
  }

  const TranscribeRequest& request_;
  const std::unique_ptr<audio::Dataset> dataset_;
  const std::unique_ptr<FinishedList> finished_;
  std::vector<Job> jobs_;
  const std::function<void(const TranscribeProgress&)>& tell_;
  const std::int64_t begin_us_ = system_clock().monotonic_us();
  std::atomic<std::size_t> next_ = 0;
  std::size_t left_ = 0;
  double bytes_all_ = 0, bytes_before_ = 0;
  std::mutex mutex_;  ///< For all below, the dataset and the parts of the jobs.
  std::optional<Error> fatal_;
  TranscribeOutcome outcome_;
};

}  // namespace

Result<std::vector<path>> find_recordings(const path& input) {
  std::error_code problem;
  if (std::filesystem::is_regular_file(input, problem)) return std::vector<path>{input};
  if (!std::filesystem::is_directory(input, problem))
    return Error{ErrorCode::not_found, fmt::format("there is no recording or folder \"{}\"", input.string())};
  std::vector<path> files;
  for (std::filesystem::recursive_directory_iterator at(input, problem), end; !problem && at != end;
       at.increment(problem)) {
    if (!at->is_regular_file(problem)) continue;
    if (std::ranges::find(kEndings, lower_ending(at->path())) == std::end(kEndings)) continue;
    if (files.size() == kRecordingsMax)
      return Error{ErrorCode::limit, fmt::format("\"{}\" has more than {} recordings; give a smaller folder",
                                                 input.string(), kRecordingsMax)};
    files.push_back(at->path());
  }
  if (problem) return Error{ErrorCode::unavailable, fmt::format("list \"{}\": {}", input.string(), problem.message())};
  std::ranges::sort(files);
  return files;
}

Result<TranscribeOutcome> transcribe_files(const TranscribeRequest& request,
                                           const std::function<void(const TranscribeProgress&)>& tell) {
  VERGE_CHECK(find_engine());
  VERGE_TRY(const auto options, find_models(request));
  VERGE_TRY(auto jobs, find_jobs(request));
  VERGE_TRY(auto dataset, open_or_create(request));
  VERGE_TRY(auto finished, FinishedList::open(request.target / "sources.jsonl"));
  TranscribeWork work(request, std::move(dataset), std::move(finished), std::move(jobs), tell);
  return work.run(options);
}

}  // namespace verge::cli
