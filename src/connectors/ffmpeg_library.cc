#include "connectors/ffmpeg_library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <mutex>

namespace verge::connectors {
namespace {

Result<void*> open_media_file(const std::string& file) {
  if (void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL); library != nullptr) return library;
  const char* reason = dlerror();
  return Error{
      ErrorCode::not_found,
      fmt::format(
          "open FFmpeg: {}. Films and cameras need the media libraries: in a module's image that is its media layer "
          "(package the image again with --layer media), elsewhere install Debian's libavformat59 and "
          "libswscale6",
          reason == nullptr ? file + " cannot be opened" : reason)};
}

template <class Function>
Status look_up(void* library, const std::string& file, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function != nullptr) return Done{};
  return Error{ErrorCode::not_found,
               fmt::format("open FFmpeg: {} has no function {}; it is another library than the headers of this build "
                           "describe (libavformat {}.{})",
                           file, name, LIBAVFORMAT_VERSION_MAJOR, LIBAVFORMAT_VERSION_MINOR)};
}

}  // namespace

const char* codec_name(const FfmpegLibrary& ffmpeg, AVCodecID codec) {
  const AVCodecDescriptor* const found = ffmpeg.avcodec_descriptor_get(codec);
  return found == nullptr ? "unknown" : found->name;
}

std::string words_for(const FfmpegLibrary& ffmpeg, int code) {
  char words[AV_ERROR_MAX_STRING_SIZE] = {};
  ffmpeg.av_strerror(code, words, sizeof words);
  return words;
}

FfmpegFiles ffmpeg_files() {
  return {fmt::format("libavutil.so.{}", LIBAVUTIL_VERSION_MAJOR),
          fmt::format("libavcodec.so.{}", LIBAVCODEC_VERSION_MAJOR),
          fmt::format("libavformat.so.{}", LIBAVFORMAT_VERSION_MAJOR),
          fmt::format("libswscale.so.{}", LIBSWSCALE_VERSION_MAJOR)};
}

Result<FfmpegLibrary> load_ffmpeg(const FfmpegFiles& files) {
  FfmpegLibrary ffmpeg;
#define VERGE_LOOK_UP(name) VERGE_CHECK(look_up(library, *file, #name, ffmpeg.name))
  const std::string* file = &files.avutil;
  VERGE_TRY(void* library, open_media_file(*file));
  VERGE_LOOK_UP(av_buffer_create);
  VERGE_LOOK_UP(av_dict_free);
  VERGE_LOOK_UP(av_dict_set);
  VERGE_LOOK_UP(av_frame_alloc);
  VERGE_LOOK_UP(av_frame_free);
  VERGE_LOOK_UP(av_frame_get_buffer);
  VERGE_LOOK_UP(av_free);
  VERGE_LOOK_UP(av_log_set_level);
  VERGE_LOOK_UP(av_malloc);
  VERGE_LOOK_UP(av_opt_get);
  VERGE_LOOK_UP(av_pix_fmt_desc_get);
  VERGE_LOOK_UP(av_rescale);
  VERGE_LOOK_UP(av_rescale_q);
  VERGE_LOOK_UP(av_strerror);

  file = &files.avcodec;
  VERGE_TRY(library, open_media_file(*file));
  VERGE_LOOK_UP(av_packet_alloc);
  VERGE_LOOK_UP(av_new_packet);
  VERGE_LOOK_UP(av_packet_clone);
  VERGE_LOOK_UP(av_packet_free);
  VERGE_LOOK_UP(av_packet_unref);
  VERGE_LOOK_UP(avcodec_align_dimensions2);
  VERGE_LOOK_UP(avcodec_alloc_context3);
  VERGE_LOOK_UP(avcodec_default_get_buffer2);
  VERGE_LOOK_UP(avcodec_descriptor_get);
  VERGE_LOOK_UP(avcodec_find_decoder);
  VERGE_LOOK_UP(avcodec_flush_buffers);
  VERGE_LOOK_UP(avcodec_free_context);
  VERGE_LOOK_UP(avcodec_open2);
  VERGE_LOOK_UP(avcodec_parameters_alloc);
  VERGE_LOOK_UP(avcodec_parameters_copy);
  VERGE_LOOK_UP(avcodec_parameters_free);
  VERGE_LOOK_UP(avcodec_parameters_to_context);
  VERGE_LOOK_UP(avcodec_receive_frame);
  VERGE_LOOK_UP(avcodec_send_packet);

  file = &files.avformat;
  VERGE_TRY(library, open_media_file(*file));
  VERGE_LOOK_UP(av_find_best_stream);
  VERGE_LOOK_UP(av_guess_frame_rate);
  VERGE_LOOK_UP(av_guess_format);
  VERGE_LOOK_UP(av_read_frame);
  VERGE_LOOK_UP(av_seek_frame);
  VERGE_LOOK_UP(av_write_frame);
  VERGE_LOOK_UP(av_write_trailer);
  VERGE_LOOK_UP(avformat_alloc_context);
  VERGE_LOOK_UP(avformat_alloc_output_context2);
  VERGE_LOOK_UP(avformat_close_input);
  VERGE_LOOK_UP(avformat_find_stream_info);
  VERGE_LOOK_UP(avformat_free_context);
  VERGE_LOOK_UP(avformat_new_stream);
  VERGE_LOOK_UP(avformat_open_input);
  VERGE_LOOK_UP(avformat_query_codec);
  VERGE_LOOK_UP(avformat_write_header);
  VERGE_LOOK_UP(avio_alloc_context);
  VERGE_LOOK_UP(avio_closep);
  VERGE_LOOK_UP(avio_context_free);
  VERGE_LOOK_UP(avio_open2);
  VERGE_LOOK_UP(avio_read_partial);

  file = &files.swscale;
  VERGE_TRY(library, open_media_file(*file));
  VERGE_LOOK_UP(sws_freeContext);
  VERGE_LOOK_UP(sws_getCachedContext);
  VERGE_LOOK_UP(sws_scale);
#undef VERGE_LOOK_UP
  return ffmpeg;
}

Result<const FfmpegLibrary*> open_ffmpeg() {
  static std::mutex mutex;
  static FfmpegLibrary ffmpeg;
  static bool is_open = false;
  const std::lock_guard lock(mutex);
  if (!is_open) {
    VERGE_TRY(ffmpeg, load_ffmpeg(ffmpeg_files()));
    ffmpeg.av_log_set_level(AV_LOG_QUIET);  // Its words reach us as error codes.
    is_open = true;
  }
  return static_cast<const FfmpegLibrary*>(&ffmpeg);
}

}  // namespace verge::connectors
