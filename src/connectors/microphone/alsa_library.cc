#include "connectors/microphone/alsa_library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <mutex>

namespace verge::connectors {
namespace {

/// Its words reach us as error codes; without this it would write them to standard error.
void say_nothing(const char*, int, const char*, int, const char*, ...) {}

}  // namespace

Result<AlsaLibrary> load_alsa(const char* file) {
  void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    return Error{
        ErrorCode::not_found,
        fmt::format("open ALSA: {}. Sound cards need it: install Debian's libasound2, also in a module's image "
                    "(docs/microphones.md)",
                    reason == nullptr ? "it cannot be opened" : reason)};
  }
  AlsaLibrary alsa;
  const char* missing = nullptr;
  const auto look_up = [&](const char* name, auto& function) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (function == nullptr) missing = name;
  };
  look_up("snd_strerror", alsa.strerror);
  look_up("snd_lib_error_set_handler", alsa.set_error_handler);
  look_up("snd_config_update_free_global", alsa.forget_configuration);
  look_up("snd_device_name_hint", alsa.device_name_hint);
  look_up("snd_device_name_get_hint", alsa.device_name_get_hint);
  look_up("snd_device_name_free_hint", alsa.device_name_free_hint);
  look_up("snd_pcm_open", alsa.open);
  look_up("snd_pcm_close", alsa.close);
  look_up("snd_pcm_start", alsa.start);
  look_up("snd_pcm_wait", alsa.wait);
  look_up("snd_pcm_readi", alsa.readi);
  look_up("snd_pcm_prepare", alsa.prepare);
  look_up("snd_pcm_resume", alsa.resume);
  look_up("snd_pcm_avail_delay", alsa.avail_delay);
  look_up("snd_pcm_hw_params_malloc", alsa.params_malloc);
  look_up("snd_pcm_hw_params_free", alsa.params_free);
  look_up("snd_pcm_hw_params_any", alsa.params_any);
  look_up("snd_pcm_hw_params", alsa.params_set);
  look_up("snd_pcm_hw_params_set_access", alsa.set_access);
  look_up("snd_pcm_hw_params_test_format", alsa.test_format);
  look_up("snd_pcm_hw_params_set_format", alsa.set_format);
  look_up("snd_pcm_hw_params_set_channels_near", alsa.set_channels_near);
  look_up("snd_pcm_hw_params_set_rate_near", alsa.set_rate_near);
  look_up("snd_pcm_hw_params_set_buffer_time_near", alsa.set_buffer_time_near);
  look_up("snd_pcm_hw_params_set_period_time_near", alsa.set_period_time_near);
  if (missing == nullptr) return alsa;
  return Error{ErrorCode::not_found, fmt::format("open ALSA: {} has no function {}; it is another library than the "
                                                 "headers of this build describe ({})",
                                                 file, missing, SND_LIB_VERSION_STR)};
}

Result<const AlsaLibrary*> open_alsa() {
  static std::mutex mutex;
  static AlsaLibrary alsa;
  static bool is_open = false;
  const std::lock_guard lock(mutex);
  if (!is_open) {
    VERGE_TRY(alsa, load_alsa("libasound.so.2"));
    alsa.set_error_handler(say_nothing);
    is_open = true;
  }
  return static_cast<const AlsaLibrary*>(&alsa);
}

}  // namespace verge::connectors
