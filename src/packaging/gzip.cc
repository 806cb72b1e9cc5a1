#include "packaging/gzip.h"

#include <algorithm>
#include <fmt/format.h>
#include <zlib.h>

namespace verge::packaging {
namespace {
constexpr int gzip_window = 15 + 16;  ///< zlib's way to ask for gzip framing.
constexpr std::size_t buffer_bytes = 1U << 18U;
}  // namespace

struct GzipWriter::State {
  z_stream stream{};
  gz_header header{};
  std::string buffer = std::string(buffer_bytes, '\0');
};

GzipWriter::GzipWriter(Sink sink, int level) : state_(std::make_unique<State>()), sink_(std::move(sink)) {
  VERGE_ASSERT(deflateInit2(&state_->stream, level, Z_DEFLATED, gzip_window, 9, Z_DEFAULT_STRATEGY) == Z_OK);
  state_->header.os = 255;
  VERGE_ASSERT(deflateSetHeader(&state_->stream, &state_->header) == Z_OK);
}

GzipWriter::~GzipWriter() { deflateEnd(&state_->stream); }

Status GzipWriter::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto piece = bytes.substr(0, std::size_t{1} << 30U);
    state_->stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
    state_->stream.avail_in = static_cast<uInt>(piece.size());
    VERGE_CHECK(deflate_all(Z_NO_FLUSH));
    bytes.remove_prefix(piece.size());
  }
  return Done{};
}

Status GzipWriter::finish() { return deflate_all(Z_FINISH); }

Status GzipWriter::deflate_all(int flush) {
  auto& stream = state_->stream;
  for (;;) {
    stream.next_out = reinterpret_cast<Bytef*>(state_->buffer.data());
    stream.avail_out = static_cast<uInt>(state_->buffer.size());
    const int code = deflate(&stream, flush);
    VERGE_ASSERT(code != Z_STREAM_ERROR);
    const std::size_t made = state_->buffer.size() - stream.avail_out;
    if (made > 0) VERGE_CHECK(sink_(std::string_view(state_->buffer).substr(0, made)));
    if (flush == Z_FINISH ? code == Z_STREAM_END : stream.avail_out > 0) return Done{};
  }
}

Result<std::string> gunzip(std::string_view bytes, std::size_t bytes_max) {
  z_stream stream{};
  VERGE_ASSERT(inflateInit2(&stream, gzip_window) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(std::min<std::size_t>(bytes.size(), UINT32_MAX));
  std::string text, buffer(buffer_bytes, '\0');
  int code = Z_OK;
  while (code == Z_OK && text.size() <= bytes_max) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    code = inflate(&stream, Z_NO_FLUSH);
    text.append(buffer, 0, buffer.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (text.size() > bytes_max)
    return Error{ErrorCode::limit, fmt::format("unpacked, it has more than {} bytes", bytes_max)};
  if (code != Z_STREAM_END) return Error{ErrorCode::corrupt, "the gzip data are damaged or cut off"};
  return text;
}

}  // namespace verge::packaging
