// connectors/microphone/alsa_library.h -- ALSA, compiled against its headers and opened at run time (dlopen); private
// to connectors.
//
// A program that hears no sound card starts without it, and an image without one goes without it
// (docs/decisions/0010-alsa-by-dlopen.md). Threads: load_alsa and open_alsa from any; the functions as ALSA says.
#pragma once

#include <alsa/asoundlib.h>

#include "base/result.h"

namespace verge::connectors {

/// The functions in use, with the types of the headers that this program was compiled with.
struct AlsaLibrary {
  decltype(&::snd_strerror) strerror = nullptr;
  decltype(&::snd_lib_error_set_handler) set_error_handler = nullptr;
  decltype(&::snd_config_update_free_global) forget_configuration = nullptr;
  decltype(&::snd_device_name_hint) device_name_hint = nullptr;
  decltype(&::snd_device_name_get_hint) device_name_get_hint = nullptr;
  decltype(&::snd_device_name_free_hint) device_name_free_hint = nullptr;
  decltype(&::snd_pcm_open) open = nullptr;
  decltype(&::snd_pcm_close) close = nullptr;
  decltype(&::snd_pcm_start) start = nullptr;
  decltype(&::snd_pcm_wait) wait = nullptr;
  decltype(&::snd_pcm_readi) readi = nullptr;
  decltype(&::snd_pcm_prepare) prepare = nullptr;
  decltype(&::snd_pcm_resume) resume = nullptr;
  decltype(&::snd_pcm_avail_delay) avail_delay = nullptr;
  decltype(&::snd_pcm_hw_params_malloc) params_malloc = nullptr;
  decltype(&::snd_pcm_hw_params_free) params_free = nullptr;
  decltype(&::snd_pcm_hw_params_any) params_any = nullptr;
  decltype(&::snd_pcm_hw_params) params_set = nullptr;
  decltype(&::snd_pcm_hw_params_set_access) set_access = nullptr;
  decltype(&::snd_pcm_hw_params_test_format) test_format = nullptr;
  decltype(&::snd_pcm_hw_params_set_format) set_format = nullptr;
  decltype(&::snd_pcm_hw_params_set_channels_near) set_channels_near = nullptr;
  decltype(&::snd_pcm_hw_params_set_rate_near) set_rate_near = nullptr;
  decltype(&::snd_pcm_hw_params_set_buffer_time_near) set_buffer_time_near = nullptr;
  decltype(&::snd_pcm_hw_params_set_period_time_near) set_period_time_near = nullptr;
};

/// Opens the file and looks every function up; it stays open until the program ends.
/// Errors: not_found naming the file (or the function) and what brings it.
Result<AlsaLibrary> load_alsa(const char* file);
/// The one ALSA of this program, opened at the first call that succeeds; lives until the end. Errors: as load_alsa.
Result<const AlsaLibrary*> open_alsa();

}  // namespace verge::connectors
