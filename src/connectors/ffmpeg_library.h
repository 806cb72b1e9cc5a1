// connectors/ffmpeg_library.h -- FFmpeg, compiled against its headers and opened at run time (dlopen); private to
// connectors.
//
// Most pipelines never decode a film, and Debian's FFmpeg brings 120 further libraries: an image without them is a
// fifth of the size, and a program that does not use them starts without mapping them. Only camera/ uses it.
// Threads: open_ffmpeg from any; the functions as FFmpeg says.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

#include <memory>
#include <string>

#include "base/result.h"

namespace verge::connectors {

/// The functions in use, with the types of the headers that this program was compiled with.
struct FfmpegLibrary {
  decltype(&::av_buffer_create) av_buffer_create = nullptr;
  decltype(&::av_dict_free) av_dict_free = nullptr;
  decltype(&::av_dict_set) av_dict_set = nullptr;
  decltype(&::av_frame_alloc) av_frame_alloc = nullptr;
  decltype(&::av_frame_free) av_frame_free = nullptr;
  decltype(&::av_frame_get_buffer) av_frame_get_buffer = nullptr;
  decltype(&::av_free) av_free = nullptr;
  decltype(&::av_log_set_level) av_log_set_level = nullptr;
  decltype(&::av_malloc) av_malloc = nullptr;
  decltype(&::av_opt_get) av_opt_get = nullptr;
  decltype(&::av_pix_fmt_desc_get) av_pix_fmt_desc_get = nullptr;
  decltype(&::av_rescale) av_rescale = nullptr;
  decltype(&::av_rescale_q) av_rescale_q = nullptr;
  decltype(&::av_strerror) av_strerror = nullptr;

  decltype(&::av_packet_alloc) av_packet_alloc = nullptr;
  decltype(&::av_new_packet) av_new_packet = nullptr;
  decltype(&::av_packet_clone) av_packet_clone = nullptr;
  decltype(&::av_packet_free) av_packet_free = nullptr;
  decltype(&::av_packet_unref) av_packet_unref = nullptr;
  decltype(&::avcodec_align_dimensions2) avcodec_align_dimensions2 = nullptr;
  decltype(&::avcodec_alloc_context3) avcodec_alloc_context3 = nullptr;
  decltype(&::avcodec_default_get_buffer2) avcodec_default_get_buffer2 = nullptr;
  decltype(&::avcodec_descriptor_get) avcodec_descriptor_get = nullptr;
  decltype(&::avcodec_find_decoder) avcodec_find_decoder = nullptr;
  decltype(&::avcodec_flush_buffers) avcodec_flush_buffers = nullptr;
  decltype(&::avcodec_free_context) avcodec_free_context = nullptr;
  decltype(&::avcodec_open2) avcodec_open2 = nullptr;
  decltype(&::avcodec_parameters_alloc) avcodec_parameters_alloc = nullptr;
  decltype(&::avcodec_parameters_copy) avcodec_parameters_copy = nullptr;
  decltype(&::avcodec_parameters_free) avcodec_parameters_free = nullptr;
  decltype(&::avcodec_parameters_to_context) avcodec_parameters_to_context = nullptr;
  decltype(&::avcodec_receive_frame) avcodec_receive_frame = nullptr;
  decltype(&::avcodec_send_packet) avcodec_send_packet = nullptr;

  decltype(&::av_find_best_stream) av_find_best_stream = nullptr;
  decltype(&::av_guess_frame_rate) av_guess_frame_rate = nullptr;
  decltype(&::av_guess_format) av_guess_format = nullptr;
  decltype(&::av_read_frame) av_read_frame = nullptr;
  decltype(&::av_seek_frame) av_seek_frame = nullptr;
  decltype(&::av_write_frame) av_write_frame = nullptr;
  decltype(&::av_write_trailer) av_write_trailer = nullptr;
  decltype(&::avformat_alloc_context) avformat_alloc_context = nullptr;
  decltype(&::avformat_alloc_output_context2) avformat_alloc_output_context2 = nullptr;
  decltype(&::avformat_close_input) avformat_close_input = nullptr;
  decltype(&::avformat_find_stream_info) avformat_find_stream_info = nullptr;
  decltype(&::avformat_free_context) avformat_free_context = nullptr;
  decltype(&::avformat_new_stream) avformat_new_stream = nullptr;
  decltype(&::avformat_open_input) avformat_open_input = nullptr;
  decltype(&::avformat_query_codec) avformat_query_codec = nullptr;
  decltype(&::avformat_write_header) avformat_write_header = nullptr;
  decltype(&::avio_alloc_context) avio_alloc_context = nullptr;
  decltype(&::avio_closep) avio_closep = nullptr;
  decltype(&::avio_context_free) avio_context_free = nullptr;
  decltype(&::avio_open2) avio_open2 = nullptr;
  decltype(&::avio_read_partial) avio_read_partial = nullptr;

  decltype(&::sws_freeContext) sws_freeContext = nullptr;
  decltype(&::sws_getCachedContext) sws_getCachedContext = nullptr;
  decltype(&::sws_scale) sws_scale = nullptr;
};

/// Gives FFmpeg's objects back.
struct FfmpegFree {
  const FfmpegLibrary* ffmpeg = nullptr;
  void operator()(AVFormatContext* context) const { ffmpeg->avformat_close_input(&context); }
  void operator()(AVCodecContext* context) const { ffmpeg->avcodec_free_context(&context); }
  void operator()(AVFrame* frame) const { ffmpeg->av_frame_free(&frame); }
  void operator()(AVPacket* packet) const { ffmpeg->av_packet_free(&packet); }
  void operator()(AVIOContext* io) const { ffmpeg->avio_closep(&io); }
  void operator()(SwsContext* context) const { ffmpeg->sws_freeContext(context); }
  void operator()(AVCodecParameters* parameters) const { ffmpeg->avcodec_parameters_free(&parameters); }
};
template <class T>
using FfmpegOwned = std::unique_ptr<T, FfmpegFree>;

template <class T>
FfmpegOwned<T> own(const FfmpegLibrary& ffmpeg, T* object) {
  return FfmpegOwned<T>(object, FfmpegFree{&ffmpeg});
}

/// "h264", "hevc", "mjpeg"; "unknown" for what FFmpeg does not know.
const char* codec_name(const FfmpegLibrary& ffmpeg, AVCodecID codec);

/// What FFmpeg's error code says; it never holds a URL.
std::string words_for(const FfmpegLibrary& ffmpeg, int code);

/// File names as dlopen takes them, for the major versions of the headers: structures differ between those.
struct FfmpegFiles {
  std::string avutil, avcodec, avformat, swscale;
};
FfmpegFiles ffmpeg_files();

/// Opens the files and looks every function up; they stay open until the program ends. Errors: not_found naming the
/// file (or the function) and what brings it.
Result<FfmpegLibrary> load_ffmpeg(const FfmpegFiles& files);
/// The one FFmpeg of this program, opened at the first call that succeeds; lives until the end. Errors: as load_ffmpeg.
Result<const FfmpegLibrary*> open_ffmpeg();

}  // namespace verge::connectors
