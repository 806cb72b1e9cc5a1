#include "vision/simulated/workpiece_scene.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <numbers>
#include <vector>

namespace verge::vision::simulated {
namespace {

// The plate's own measures, in units of which 640 make the picture's width; the middle is 0, 0.
constexpr float kPlateWidth = 372, kPlateHeight = 268, kCorner = 26;
constexpr float kBore = 44, kRing = 68, kHole = 15, kSink = 22;
constexpr float kHoleX = 146, kHoleY = 94;
constexpr float kSlotX = 0, kSlotY = 104, kSlotHalf = 58, kSlotRadius = 9;
constexpr int kBrushed = 512;    // Pixels of the brushing's pattern, which repeats.
constexpr double kMoves = 0.45;  // Part of the period in which the belt runs.
constexpr float kShadow = 7;
constexpr float kPlateSpace_x = kPlateWidth + 8, kPlateSpace_y = kPlateHeight + 8;  // With a margin to be soft in.
constexpr float kBlobReach = 1.5F;  // Radiuses that a blob's swings reach at most.

struct Point2 {
  float x = 0, y = 0;
};

float length(float x, float y) { return std::sqrt(x * x + y * y); }

/// Pixels to the plate's outline, negative inside.
float outline_distance(float u, float v) {
  const float x = std::abs(u) - (kPlateWidth / 2 - kCorner), y = std::abs(v) - (kPlateHeight / 2 - kCorner);
  return length(std::max(x, 0.0F), std::max(y, 0.0F)) + std::min(std::max(x, y), 0.0F) - kCorner;
}

float slot_distance(float u, float v) {
  const float along = std::max(std::abs(u - kSlotX) - kSlotHalf, 0.0F);
  return length(along, v - kSlotY) - kSlotRadius;
}

/// A wobbly round outline: how far it is from the middle in each direction.
struct Blob {
  Point2 middle{};
  float radius = 0;
  std::array<float, 3> swing{}, phase{};

  float edge(float angle) const {
    float share = 1;
    for (std::size_t wave = 0; wave < 3; ++wave)
      share += swing[wave] * std::sin(static_cast<float>(wave + 2) * angle + phase[wave]);
    return radius * share;
  }
  /// Negative inside.
  float distance(float u, float v) const {
    const float x = u - middle.x, y = v - middle.y;
    if (std::abs(x) > radius * 2 || std::abs(y) > radius * 2) return radius;
    return length(x, y) - edge(std::atan2(y, x));
  }
};

struct Scratch {
  Point2 from{}, along{};  ///< along: unit length.
  float length = 0, bend = 0, width = 1;

  contract::Region bounds() const {
    const Point2 end{from.x + along.x * length, from.y + along.y * length};
    const float reach = std::abs(bend) / 4 + width + 2;
    return {std::min(from.x, end.x) - reach, std::min(from.y, end.y) - reach, std::max(from.x, end.x) + reach,
            std::max(from.y, end.y) + reach};
  }

  /// Across it, negative on one side; far away beyond its ends.
  float distance(float u, float v) const {
    const float x = u - from.x, y = v - from.y;
    const float t = x * along.x + y * along.y;
    if (t < 0 || t > length) return 1000;
    const float part = t / length;
    return -x * along.y + y * along.x - bend * part * (1 - part);
  }
};

/// Where a plate's brushing begins in the pattern, and how bright the steel is.
struct Brushing {
  int u = 0, v = 0;
  float tone = 1;
};

struct FormPixel {
  float value = 0;   ///< Without brushing.
  float weight = 0;  ///< Of the brushing.
  float cover = 0;   ///< 0..1
};

struct Plate {
  int number = 0;
  Defect defect = Defect::none;
  Sprite looks;                              ///< The plate as it lies straight, in pixels of the picture.
  float shift_x = 0, shift_y = 0, turn = 0;  ///< Pixels, radians.
  contract::Region defect_box{};             ///< In the plate's own units.
};

class WorkpieceScene final : public Scene {
 public:
  explicit WorkpieceScene(const WorkpieceOptions& options)
      : options_(options),
        scale_(static_cast<float>(options.width) / 640),
        form_width_(static_cast<int>(kPlateSpace_x * scale_)),
        form_height_(static_cast<int>(kPlateSpace_y * scale_)),
        dice_(options.seed),
        belt_(kBrushed, options.height),
        brushed_(static_cast<std::size_t>(kBrushed) * kBrushed) {
    weave_belt();
    brush();
    draw_form();
    for (int at = 0; at < 2; ++at) plates_.push_back(next_plate());
  }

  void advance(double seconds) override {
    seconds_ += seconds;
    double place = place_;
    if (options_.is_triggered) {
      place += is_begun_ ? 1 : 0;
    } else {
      const double cycles = seconds_ / options_.period_s, whole = std::floor(cycles);
      const double part = std::clamp((cycles - whole - (1 - kMoves)) / kMoves, 0.0, 1.0);
      place = whole + part * part * (3 - 2 * part);
    }
    is_begun_ = true;
    for (int passed = static_cast<int>(place) - static_cast<int>(place_); passed > 0; --passed) {
      plates_.erase(plates_.begin());
      plates_.push_back(next_plate());
    }
    place_ = place;
  }

  void paint(Canvas& canvas) override {
    const double run = place_ - std::floor(place_);
    paint_belt(canvas);
    paint_plate(canvas, plates_[0], -static_cast<float>(run));
    if (run > 0) paint_plate(canvas, plates_[1], static_cast<float>(1 - run));
  }

  Light light() const override {
    Light light;
    const auto flicker = static_cast<float>(std::sin(seconds_ * 0.21) + std::sin(place_ * 1.7 + 1));
    light.gain = 1 + 0.025F * flicker;
    light.noise = 2.2F;
    return light;
  }

  Json truth() const override {
    const Plate& plate = plates_[0];
    const bool stands = place_ - std::floor(place_) == 0;
    Json told{
        {"plate", plate.number}, {"stands", stands}, {"defect", kDefects[static_cast<std::size_t>(plate.defect)]}};
    if (plate.defect != Defect::none && stands) {
      const contract::Region box = in_picture(plate);
      told["box"] = {box.left, box.top, box.right, box.bottom};
    }
    return told;
  }

  std::uint32_t take() const override { return options_.is_triggered ? static_cast<std::uint32_t>(place_) : 0; }

  Json fault_description() const override {
    return Json::array({{{"name", "kind"}, {"type", "choice"}, {"choices", kDefects}, {"default", "scratch"}},
                        {{"name", "plates"}, {"type", "integer"}, {"default", 1}, {"min", 1}, {"max", 1000}}});
  }

  Result<Json> set_fault(const Json& parameters) override {
    VERGE_TRY(const auto kind, string_member(parameters, "kind", "scratch"));
    VERGE_TRY(const auto plates, integer_member(parameters, "plates", 1));
    const auto* const found = std::ranges::find(kDefects, kind);
    if (found == kDefects.end())
      return Error{ErrorCode::invalid_argument,
                   fmt::format("there is no fault \"{}\"; give one of: {}", kind, fmt::join(kDefects, ", "))};
    if (plates < 1 || plates > 1000)
      return Error{ErrorCode::invalid_argument, fmt::format("plates is {}; give 1 to 1000", plates)};
    ordered_ = static_cast<Defect>(found - kDefects.begin());
    ordered_plates_ = ordered_ == Defect::none ? 0 : static_cast<int>(plates);
    return Json{{"kind", kind}, {"plates", ordered_plates_}, {"first", next_number_}};
  }

 private:
  // -- What is made once.

  void weave_belt() {
    for (int y = 0; y < belt_.height; ++y) {
      for (int x = 0; x < belt_.width; ++x) {
        const float weave = ((x + y) % 6 < 3 ? 4.0F : -3.0F) + ((x - y + 6000) % 6 < 3 ? 3.0F : -3.0F);
        const float value = 52 + weave + static_cast<float>(dice_.normal()) * 2.5F;
        belt_.set(x, y, {value * 0.94F, value, value * 0.97F});
      }
    }
    const int rail = static_cast<int>(26 * scale_);
    for (const int top : {0, belt_.height - rail}) {
      belt_.fill(0, top, belt_.width, top + rail, {150, 154, 160}, {96, 100, 106});
      belt_.fill(0, top + rail / 3, belt_.width, top + rail / 3 + 2, {210, 213, 218});
    }
    belt_.fill(0, rail, belt_.width, rail + 5, {22, 23, 24}, {44, 46, 45});
    belt_.fill(0, belt_.height - rail - 4, belt_.width, belt_.height - rail, {30, 31, 31});
  }

  /// Streaks along x: white noise, smoothed over some 60 pixels, and lines of their own strength.
  void brush() {
    std::vector<float> noise(kBrushed);
    for (int v = 0; v < kBrushed; ++v) {
      for (float& each : noise) each = static_cast<float>(dice_.normal());
      const float line = static_cast<float>(dice_.normal()) * 2.6F;
      constexpr int kReach = 30;
      float sum = 0;
      for (int u = -kReach; u <= kReach; ++u) sum += noise[static_cast<std::size_t>((u + kBrushed) % kBrushed)];
      for (int u = 0; u < kBrushed; ++u) {
        brushed_[static_cast<std::size_t>(v * kBrushed + u)] = line + sum * 0.62F;
        sum += noise[static_cast<std::size_t>((u + kReach + 1) % kBrushed)] -
               noise[static_cast<std::size_t>((u - kReach + kBrushed) % kBrushed)];
      }
    }
  }

  // -- Plates.

  Plate next_plate() {
    Plate plate{next_number_++,
                Defect::none,
                Sprite(form_width_, form_height_),
                static_cast<float>(dice_.between(-4, 4)) * scale_,
                static_cast<float>(dice_.between(-3, 3)) * scale_,
                static_cast<float>(dice_.between(-0.016, 0.016)),
                {}};
    // Drawn for each plate, so that an order does not change the plates after it.
    const bool is_bad = dice_.happens(options_.defects);
    const auto kind = static_cast<Defect>(1 + dice_.below(static_cast<int>(kDefects.size()) - 1));
    plate.defect = is_bad ? kind : Defect::none;
    if (ordered_plates_ > 0) {
      --ordered_plates_;
      plate.defect = ordered_;
    }
    machine(plate);
    return plate;
  }

  /// A place on the plain surface, away from holes and edges.
  Point2 plain_place(float margin) {
    for (int tries = 0; tries < 100; ++tries) {
      const Point2 at{static_cast<float>(dice_.between(-0.5, 0.5)) * kPlateWidth,
                      static_cast<float>(dice_.between(-0.5, 0.5)) * kPlateHeight};
      const bool is_plain = outline_distance(at.x, at.y) < -margin && slot_distance(at.x, at.y) > margin &&
                            length(at.x, at.y) > kRing + margin &&
                            length(std::abs(at.x) - kHoleX, std::abs(at.y) - kHoleY) > kSink + margin;
      if (is_plain) return at;
    }
    return {-100, 0};
  }

  Blob blob_at(Point2 middle, float radius) {
    Blob blob{middle, radius};
    for (std::size_t wave = 0; wave < 3; ++wave) {
      blob.swing[wave] = static_cast<float>(dice_.between(0.05, 0.16));
      blob.phase[wave] = static_cast<float>(dice_.between(0, 6.28));
    }
    return blob;
  }

  /// Somewhere on the outline.
  Point2 edge_place() {
    const bool is_side = dice_.happens(0.4);
    const auto along = static_cast<float>(dice_.between(-0.42, 0.42));
    const float sign = dice_.happens(0.5) ? 1 : -1;
    return is_side ? Point2{sign * kPlateWidth / 2, along * kPlateHeight}
                   : Point2{along * kPlateWidth, sign * kPlateHeight / 2};
  }

  /// What every plate has in common: how bright it is, how much its brushing shows, where it is.
  void draw_form() {
    for (int y = 0; y < form_height_; ++y) {
      for (int x = 0; x < form_width_; ++x) {
        const Point2 at = on_plate(x, y);
        const float outside = outline_distance(at.x, at.y);
        const float smooth = surface(at.x, at.y, outside, 0, nullptr);
        form_.push_back({smooth, surface(at.x, at.y, outside, 1, nullptr) - smooth,
                         std::clamp(0.5F - outside * scale_, 0.0F, 1.0F)});
      }
    }
  }

  /// A pixel's middle in the plate's own measures.
  Point2 on_plate(int x, int y) const {
    return {(static_cast<float>(x) + 0.5F) / scale_ - kPlateSpace_x / 2,
            (static_cast<float>(y) + 0.5F) / scale_ - kPlateSpace_y / 2};
  }

  void machine(Plate& plate) {
    const Brushing brushing{dice_.below(kBrushed), dice_.below(kBrushed),
                            static_cast<float>(dice_.between(0.97, 1.03))};
    for (int y = 0; y < form_height_; ++y) {
      for (int x = 0; x < form_width_; ++x) {
        const FormPixel& form = form_[static_cast<std::size_t>(y * form_width_ + x)];
        if (form.cover <= 0) continue;
        plate.looks.set(x, y, steel(form.value + form.weight * grain_at(brushing, x, y), brushing.tone), form.cover);
      }
    }
    spoil(plate, brushing);
  }

  float grain_at(const Brushing& brushing, int x, int y) const {
    return brushed_[static_cast<std::size_t>((y + brushing.v) % kBrushed * kBrushed + (x + brushing.u) % kBrushed)];
  }

  static Colour steel(float value, float tone) { return {value * 0.975F * tone, value * tone, value * 1.03F * tone}; }

  /// Draws the same numbers whatever the defect is.
  void spoil(Plate& plate, const Brushing& brushing) {
    const Blob stain = blob_at(plain_place(14), static_cast<float>(dice_.between(13, 25)));
    const Blob chip = blob_at(edge_place(), static_cast<float>(dice_.between(10, 18)));
    const auto angle = static_cast<float>(dice_.between(0.35, std::numbers::pi - 0.35));
    const Scratch scratch{plain_place(10),
                          {std::cos(angle), std::sin(angle)},
                          static_cast<float>(dice_.between(38, 92)),
                          static_cast<float>(dice_.between(-20, 20)),
                          static_cast<float>(dice_.between(1.0, 1.7))};
    const Point2 hole{dice_.happens(0.5) ? kHoleX : -kHoleX, dice_.happens(0.5) ? kHoleY : -kHoleY};
    switch (plate.defect) {
      case Defect::none:
        return;
      case Defect::scratch:
        plate.defect_box = scratch.bounds();
        return for_pixels_of(plate, [&](int x, int y, Point2 at) {
          repaint(plate.looks, x, y,
                  [&](const Colour& colour) { return scratched(colour, scratch.distance(at.x, at.y), scratch.width); });
        });
      case Defect::stain:
        plate.defect_box = around(stain.middle, stain.radius * kBlobReach);
        return for_pixels_of(plate, [&](int x, int y, Point2 at) {
          repaint(plate.looks, x, y, [&](const Colour& colour) { return stained(colour, stain.distance(at.x, at.y)); });
        });
      case Defect::chip:
        plate.defect_box = around(chip.middle, chip.radius * kBlobReach);
        return for_pixels_of(plate, [&](int x, int y, Point2 at) {
          break_off(plate.looks, x, y, chip.distance(at.x, at.y), grain_at(brushing, x, y));
        });
      case Defect::missing_hole:
        plate.defect_box = around(hole, kSink + 1);
        return for_pixels_of(plate, [&](int x, int y, Point2 at) {
          const float value = surface(at.x, at.y, outline_distance(at.x, at.y), grain_at(brushing, x, y), &hole);
          repaint(plate.looks, x, y, [&](const Colour&) { return steel(value, brushing.tone); });
        });
    }
  }

  static contract::Region around(Point2 middle, float reach) {
    return {middle.x - reach, middle.y - reach, middle.x + reach, middle.y + reach};
  }

  /// Those in the defect's box.
  template <class Use>
  void for_pixels_of(const Plate& plate, const Use& use) const {
    const auto pixel = [&](double at, float space) {
      return static_cast<int>((at + static_cast<double>(space) / 2) * static_cast<double>(scale_));
    };
    const contract::Region& box = plate.defect_box;
    const int right = std::min(form_width_ - 1, pixel(box.right, kPlateSpace_x));
    const int bottom = std::min(form_height_ - 1, pixel(box.bottom, kPlateSpace_y));
    for (int y = std::max(0, pixel(box.top, kPlateSpace_y)); y <= bottom; ++y) {
      for (int x = std::max(0, pixel(box.left, kPlateSpace_x)); x <= right; ++x) use(x, y, on_plate(x, y));
    }
  }

  template <class Change>
  static void repaint(Sprite& looks, int x, int y, const Change& change) {
    const std::uint8_t* const pixel = looks.colours.at(x, y);
    looks.colours.set(
        x, y, change({static_cast<float>(pixel[0]), static_cast<float>(pixel[1]), static_cast<float>(pixel[2])}));
  }

  /// into  pixels to the piece that is gone, negative in it
  static void break_off(Sprite& looks, int x, int y, float into, float grain) {
    std::uint8_t& cover = looks.cover[static_cast<std::size_t>(y) * static_cast<std::size_t>(looks.colours.width) +
                                      static_cast<std::size_t>(x)];
    cover = static_cast<std::uint8_t>(static_cast<float>(cover) * std::clamp(into + 0.5F, 0.0F, 1.0F));
    if (into <= 0 || into >= 3.5F) return;
    repaint(looks, x, y, [&](const Colour& colour) { return scaled(colour, grain > 0 ? 1.25F : 0.6F); });
  }

  /// The plate as it should be; light comes from the upper left. missing: the hole that is not there, or null.
  static float surface(float u, float v, float outside, float grain, const Point2* missing) {
    float value = 158 + grain - u * 0.035F - v * 0.05F;
    // The chamfer along the outline catches the light above and on the left.
    if (outside > -5) value += (u * 0.6F + v < 0 ? 46.0F : -52.0F) * std::clamp((outside + 5) / 3, 0.0F, 1.0F);
    const float from_bore = length(u, v);
    if (std::abs(from_bore - kRing) < 3) value += (from_bore < kRing) == (u + v < 0) ? -44.0F : 34.0F;
    value = sunk(value, from_bore - kBore, u, v);
    const float hole_u = std::abs(u) - kHoleX, hole_v = std::abs(v) - kHoleY;
    const bool is_missing = missing != nullptr && (u < 0) == (missing->x < 0) && (v < 0) == (missing->y < 0);
    if (!is_missing) {
      const float from_hole = length(hole_u, hole_v);
      const float side = (u < 0 ? -hole_u : hole_u) + (v < 0 ? -hole_v : hole_v);
      if (from_hole < kSink && from_hole >= kHole) value += side < 0 ? -36.0F : 38.0F;
      value = sunk(value, from_hole - kHole, side, 0);
    }
    if (const float from_slot = slot_distance(u, v); from_slot < 1.5F) {
      const float part = std::clamp(1 - from_slot / 1.5F, 0.0F, 1.0F);
      value += (92 + grain * 0.4F + (v - kSlotY) * 3 - value) * std::min(part, 1.0F);
    }
    return value;
  }

  /// A hole through which the belt is seen; its far wall is lit. from_edge: negative inside.
  static float sunk(float value, float from_edge, float u, float v) {
    if (from_edge >= 1) return value;
    const float inside = from_edge > -5 && u + v > 0 ? 104.0F : 34.0F;
    return value + (inside - value) * std::clamp(1 - from_edge, 0.0F, 1.0F);
  }

  static Colour stained(const Colour& colour, float distance) {
    const float part = std::clamp(0.5F - distance / 5, 0.0F, 1.0F);
    const float rim = std::abs(distance) < 2.5F ? 0.9F : 1;
    return mixed(colour, {colour[0] * 0.72F * rim, colour[1] * 0.6F * rim, colour[2] * 0.46F * rim}, part);
  }

  static Colour scratched(const Colour& colour, float distance, float width) {
    if (std::abs(distance) < width) return mixed(colour, {238, 240, 244}, 0.75F);
    if (distance > 0 && distance < width + 1.4F) return scaled(colour, 0.62F);
    return colour;
  }

  // -- Pictures.

  void paint_belt(Canvas& canvas) const {
    const int offset = static_cast<int>(std::fmod(place_ * step(), kBrushed));
    for (int y = 0; y < canvas.height; ++y) {
      // The rails stand still, so what they look like must not run.
      for (int x = 0, from = offset; x < canvas.width;) {
        const int count = std::min(canvas.width - x, kBrushed - from);
        std::copy_n(belt_.at(from, y), static_cast<std::ptrdiff_t>(count) * 3, canvas.at(x, y));
        x += count;
        from = 0;
      }
    }
  }

  /// Pixels from one plate to the next.
  double step() const { return options_.width * 1.05; }

  Point2 middle_of(const Plate& plate, float along) const {
    return {static_cast<float>(options_.width) / 2 + plate.shift_x + along * static_cast<float>(step()),
            static_cast<float>(options_.height) / 2 + plate.shift_y};
  }

  /// along  0 below the camera, 1 a step before it
  void paint_plate(Canvas& canvas, const Plate& plate, float along) const {
    const Point2 middle = middle_of(plate, along);
    const float c = std::cos(plate.turn), s = std::sin(plate.turn);
    const auto half_x = static_cast<float>(plate.looks.colours.width) / 2;
    const auto half_y = static_cast<float>(plate.looks.colours.height) / 2;
    const float reach_x = half_x + half_y * 0.02F + kShadow, reach_y = half_y + half_x * 0.02F + kShadow;
    const int right = std::min(canvas.width - 1, static_cast<int>(middle.x + reach_x));
    const int bottom = std::min(canvas.height - 1, static_cast<int>(middle.y + reach_y));
    for (int y = std::max(0, static_cast<int>(middle.y - reach_y)); y <= bottom; ++y) {
      for (int x = std::max(0, static_cast<int>(middle.x - reach_x)); x <= right; ++x) {
        const float dx = static_cast<float>(x) - middle.x, dy = static_cast<float>(y) - middle.y;
        const float u = c * dx + s * dy + half_x - 0.5F, v = -s * dx + c * dy + half_y - 0.5F;
        put_pixel(canvas.at(x, y), plate.looks, u, v);
      }
    }
  }

  /// One pixel of the picture from between four of the plate; where there is none, its shadow.
  static void put_pixel(std::uint8_t* target, const Sprite& looks, float u, float v) {
    const int left = static_cast<int>(u), top = static_cast<int>(v);
    const int wide = looks.colours.width, high = looks.colours.height;
    const bool is_on = u >= 0 && v >= 0 && left < wide - 1 && top < high - 1;
    const std::size_t at =
        static_cast<std::size_t>(top) * static_cast<std::size_t>(wide) + static_cast<std::size_t>(left);
    const int covered = is_on ? looks.cover[at] : 0;
    if (covered < 255) {
      const int shaded_x = left - static_cast<int>(kShadow), shaded_y = top - static_cast<int>(kShadow);
      const bool is_shaded = shaded_x >= 0 && shaded_y >= 0 && shaded_x < wide && shaded_y < high &&
                             looks.cover[static_cast<std::size_t>(shaded_y) * static_cast<std::size_t>(wide) +
                                         static_cast<std::size_t>(shaded_x)] > 127;
      if (is_shaded) {
        for (int channel = 0; channel < 3; ++channel) target[channel] = static_cast<std::uint8_t>(target[channel] / 2);
      }
    }
    if (covered == 0) return;
    const auto right_part = static_cast<int>((u - static_cast<float>(left)) * 16);
    const auto lower_part = static_cast<int>((v - static_cast<float>(top)) * 16);
    const std::uint8_t* const upper = looks.colours.at(left, top);
    const std::uint8_t* const lower = upper + static_cast<std::ptrdiff_t>(wide) * 3;
    for (int channel = 0; channel < 3; ++channel) {
      const int above = upper[channel] * (16 - right_part) + upper[channel + 3] * right_part;
      const int below = lower[channel] * (16 - right_part) + lower[channel + 3] * right_part;
      const int value = (above * (16 - lower_part) + below * lower_part) >> 8;
      target[channel] = static_cast<std::uint8_t>(target[channel] + (value - target[channel]) * covered / 255);
    }
  }

  /// The defect's box, from the plate's units to parts of the picture.
  contract::Region in_picture(const Plate& plate) const {
    const Point2 middle = middle_of(plate, 0);
    const double c = std::cos(plate.turn), s = std::sin(plate.turn), scale = static_cast<double>(scale_);
    contract::Region box{1, 1, 0, 0};
    for (const double u : {plate.defect_box.left, plate.defect_box.right}) {
      for (const double v : {plate.defect_box.top, plate.defect_box.bottom}) {
        const double x = (static_cast<double>(middle.x) + scale * (c * u - s * v)) / options_.width;
        const double y = (static_cast<double>(middle.y) + scale * (s * u + c * v)) / options_.height;
        box = {std::min(box.left, x), std::min(box.top, y), std::max(box.right, x), std::max(box.bottom, y)};
      }
    }
    return box;
  }

  const WorkpieceOptions options_;
  const float scale_;
  const int form_width_, form_height_;  ///< Pixels of a plate's looks.
  std::vector<FormPixel> form_;
  Dice dice_;
  Canvas belt_;
  std::vector<float> brushed_;
  std::vector<Plate> plates_;  ///< Below the camera, and the one after it.
  int next_number_ = 0;
  double seconds_ = 0, place_ = 0;  ///< place_: which plate is below the camera; between two while the belt runs.
  bool is_begun_ = false;
  Defect ordered_ = Defect::none;
  int ordered_plates_ = 0;
};

}  // namespace

std::unique_ptr<Scene> make_workpiece_scene(const WorkpieceOptions& options) {
  return std::make_unique<WorkpieceScene>(options);
}

}  // namespace verge::vision::simulated
