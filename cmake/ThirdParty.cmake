# Third-party libraries by the names the parts use. Every one has a line in docs/decisions/.
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(CURL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(Boost 1.74 REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(PkgConfig REQUIRED)
foreach(name libturbojpeg sndfile soxr pugixml)
  string(TOUPPER ${name} upper)
  pkg_check_modules(${upper} REQUIRED IMPORTED_TARGET ${name})
endforeach()
# FFmpeg: headers only; the libraries are opened at run time (docs/decisions/0005-ffmpeg-by-dlopen.md).
pkg_check_modules(FFMPEG REQUIRED libavformat libavcodec libavutil libswscale)
add_library(verge_ffmpeg_headers INTERFACE)
target_include_directories(verge_ffmpeg_headers SYSTEM INTERFACE ${FFMPEG_INCLUDE_DIRS})
# ALSA: headers only, too (docs/decisions/0010-alsa-by-dlopen.md).
pkg_check_modules(ALSA REQUIRED alsa)
add_library(verge_alsa_headers INTERFACE)
target_include_directories(verge_alsa_headers SYSTEM INTERFACE ${ALSA_INCLUDE_DIRS})
# Developers' libraries: without them there are no targets for tests or benchmarks, and the programs still build.
find_package(GTest QUIET)
find_package(benchmark QUIET)

# ONNX Runtime: headers only; the library is opened at run time (docs/decisions/0002-onnx-runtime-by-dlopen.md).
set(VERGE_ORT_INCLUDE "$ENV{VERGE_ORT_INCLUDE}" CACHE PATH "Folder that holds onnxruntime_cxx_api.h")
add_library(verge_ort_headers INTERFACE)
target_include_directories(verge_ort_headers SYSTEM INTERFACE ${VERGE_ORT_INCLUDE})
