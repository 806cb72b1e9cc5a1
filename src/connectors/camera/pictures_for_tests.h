// connectors/camera/pictures_for_tests.h -- three tiny pictures, made with ffmpeg 5.1, and what tests ask of a source.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "pipeline/stage.h"

namespace verge::connectors {

/// JPEG, white, 16 x 8.
inline std::string white_jpeg() {
  return *from_base64(
      "/9j/4AAQSkZJRgABAgAAAQABAAD/2wBDAAg+Pkk+SVVVVVVVVWRdZGhoaGRkZGRoaGhwcHCDg4NwcHBoaHBwfHyDg4+Tj4eHg4eTk5ubm7q6srLZ"
      "2eD/////xABLAAEBAAAAAAAAAAAAAAAAAAAABwEBAAAAAAAAAAAAAAAAAAAAABABAAAAAAAAAAAAAAAAAAAAABEBAAAAAAAAAAAAAAAAAAAAAP/A"
      "ABEIAAgAEAMBIgACEQADEQD/2gAMAwEAAhEDEQA/AL+AD//Z");
}
/// JPEG, black, 24 x 16.
inline std::string black_jpeg() {
  return *from_base64(
      "/9j/4AAQSkZJRgABAgAAAQABAAD/2wBDAAg+Pkk+SVVVVVVVVWRdZGhoaGRkZGRoaGhwcHCDg4NwcHBoaHBwfHyDg4+Tj4eHg4eTk5ubm7q6srLZ"
      "2eD/////xABLAAEBAAAAAAAAAAAAAAAAAAAACAEBAAAAAAAAAAAAAAAAAAAAABABAAAAAAAAAAAAAAAAAAAAABEBAAAAAAAAAAAAAAAAAAAAAP/A"
      "ABEIABAAGAMBIgACEQADEQD/2gAMAwEAAhEDEQA/AJ/AAAB//9k=");
}
/// PNG, red, 16 x 8.
inline std::string red_png() {
  return *from_base64(
      "iVBORw0KGgoAAAANSUhEUgAAABAAAAAICAIAAAB/FOjAAAAACXBIWXMAAAABAAAAAQBPJcTWAAAAFElEQVR4nGP4y8BAEiJN9agGIhEAX7d+gfpt"
      "JZ4AAAAASUVORK5CYII=");
}

struct SeenPicture {
  int width, height;
  int luma;  ///< Of the pixel at the top left.
  std::uint32_t take;
  std::int64_t captured_us;
};

inline SeenPicture seen_in(const pipeline::Packet& packet) {
  const auto frame = pipeline::payload_as<pipeline::Scene>(packet)->frame;
  return {frame->width, frame->height, frame->planes[0][0], frame->take, packet.captured_us};
}

}  // namespace verge::connectors
