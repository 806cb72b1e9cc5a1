#include "vision/simulated/shelf_scene.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numbers>
#include <vector>

namespace verge::vision::simulated {
namespace {

constexpr int kBoards = 3, kPlacesOnBoard = 2, kPlaces = kBoards * kPlacesOnBoard, kRanks = 2;
constexpr double kTakenEvery_s = 7;     // One item of a place, on average.
constexpr double kRefillEvery_s = 25;   // Somebody comes by and fills up a place that is below half.
constexpr double kSoldOutShare = 0.25;  // Of refills for which there is nothing in the store room.
constexpr double kSoldOutFor_s = 45;
constexpr double kTradeStep_s = 1, kTradedMax_s = 1000;  // What is longer ago than that shows nothing any more.
constexpr double kLightPeriod_s = 120;

enum class Form : std::uint8_t { box, bottle, can, bag };

struct Sort {
  Form form = Form::box;
  Colour body{}, label{}, print{};
  int wide = 0, high = 0;  ///< Pixels, front rank.
};

/// Where a place's goods stand, in pixels.
struct Ledge {
  int left = 0, right = 0, top = 0, bottom = 0;
};

/// One sort with its goods; each column has room for kRanks items, one behind the other.
struct Place {
  Sort sort;
  Ledge ledge;
  std::vector<Sprite> sprites;              ///< Front rank, back rank.
  std::vector<int> items;                   ///< Of each column, 0..kRanks.
  std::vector<std::array<float, 3>> askew;  ///< Of each column: pixels to the side, gain in front, gain behind.
  double sold_out_s = 0;                    ///< Left of it.
  bool is_held_empty = false;               ///< By a fault.

  int count() const {
    int sum = 0;
    for (const int each : items) sum += each;
    return sum;
  }
  int room() const { return static_cast<int>(items.size()) * kRanks; }
};

/// How light falls on a round thing, across it: 0 left, 1 right.
float round_shade(float across) {
  const float x = across * 2 - 1;
  const float lit = std::sqrt(std::max(0.0F, 1 - (x + 0.25F) * (x + 0.25F) / 1.6F));
  return 0.45F + 0.65F * lit;
}

/// Stripes that look like print from afar; `seed` makes each sort's its own.
bool is_print(int x, int y, int wide, int seed) {
  const int line = y / 3;
  if (y % 3 == 2 || line % 2 != 0) return false;
  const int length = wide * (3 + (line * 7 + seed) % 5) / 8;
  return x < length && (x * 5 + line * 3 + seed) % 7 != 0;
}

void paint_box(Sprite& sprite, const Sort& sort, int seed) {
  const int w = sprite.colours.width, h = sprite.colours.height;
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      const float down = static_cast<float>(y) / static_cast<float>(h);
      const bool is_label = down > 0.18F && down < 0.52F && x > w / 8 && x < w - w / 8;
      Colour colour = is_label ? sort.label : sort.body;
      if (is_label && is_print(x - w / 5, y - h / 4, w * 3 / 5, seed)) colour = sort.print;
      if (down > 0.68F && down < 0.74F) colour = sort.label;
      if (down > 0.82F && is_print(x - w / 6, y, w * 2 / 3, seed + 3)) colour = mixed(sort.body, sort.label, 0.6F);
      float shade = 1.06F - 0.18F * down;
      if (x >= w - 2) shade *= 0.6F;
      if (y < 2 || x == 0) shade *= 1.2F;
      sprite.set(x, y, scaled(colour, shade));
    }
  }
}

/// Part of the width that a bottle has at this part of its height from above.
float bottle_width(float down) {
  if (down < 0.08F) return 0.42F;
  if (down < 0.26F) return 0.34F;
  if (down < 0.42F) return 0.34F + 0.66F * std::sin((down - 0.26F) / 0.16F * std::numbers::pi_v<float> / 2);
  return 1;
}

void paint_round(Sprite& sprite, const Sort& sort, int seed) {
  const int w = sprite.colours.width, h = sprite.colours.height;
  const bool is_bottle = sort.form == Form::bottle;
  for (int y = 0; y < h; ++y) {
    const float down = static_cast<float>(y) / static_cast<float>(h);
    const float part = is_bottle ? bottle_width(down) : 1;
    const float half = part * static_cast<float>(w) / 2;
    for (int x = 0; x < w; ++x) {
      const float from_middle = static_cast<float>(x) + 0.5F - static_cast<float>(w) / 2;
      const float cover = std::clamp(half - std::abs(from_middle) + 0.5F, 0.0F, 1.0F);
      if (cover <= 0) continue;
      Colour colour = sort.body;
      const bool is_label = is_bottle ? down > 0.52F && down < 0.86F : down > 0.1F && down < 0.92F;
      if (is_label) colour = is_print(x - w / 4, y - h / 2, w / 2, seed) ? sort.print : sort.label;
      if (is_bottle && down < 0.08F) colour = sort.print;
      if (!is_bottle && !is_label) colour = {190, 194, 200};
      if (!is_bottle && is_label && std::abs(down - 0.3F) < 0.06F) colour = sort.body;
      const float across = (from_middle / std::max(1.0F, half) + 1) / 2;
      float shade = round_shade(across);
      if (std::abs(across - 0.3F) < 0.06F) shade *= 1.25F;
      sprite.set(x, y, scaled(colour, shade), cover);
    }
  }
}

void paint_bag(Sprite& sprite, const Sort& sort, int seed) {
  const int w = sprite.colours.width, h = sprite.colours.height;
  for (int y = 0; y < h; ++y) {
    const float down = static_cast<float>(y) / static_cast<float>(h);
    const float bulge = 0.9F + 0.1F * std::sin(down * std::numbers::pi_v<float>);
    const float half = bulge * static_cast<float>(w) / 2;
    for (int x = 0; x < w; ++x) {
      const float from_middle = static_cast<float>(x) + 0.5F - static_cast<float>(w) / 2;
      if (std::abs(from_middle) > half) continue;
      const float across = from_middle / half;
      Colour colour = sort.body;
      const float ring = across * across * 0.7F + (down - 0.5F) * (down - 0.5F) * 4;
      if (ring < 0.42F) colour = is_print(x - w / 3, y - h / 3, w / 2, seed) ? sort.print : sort.label;
      const float crease = 0.1F * std::sin(across * 5 + down * 9 + static_cast<float>(seed));
      float shade = 0.98F + crease - 0.25F * across * across;
      if (down < 0.07F) shade = x % 3 == 0 ? 0.75F : 1.1F;
      sprite.set(x, y, scaled(colour, shade));
    }
  }
}

Sprite sprite_of(const Sort& sort, float size, int seed) {
  Sprite sprite(std::max(4, static_cast<int>(static_cast<float>(sort.wide) * size)),
                std::max(6, static_cast<int>(static_cast<float>(sort.high) * size)));
  if (sort.form == Form::box) paint_box(sprite, sort, seed);
  if (sort.form == Form::bag) paint_bag(sprite, sort, seed);
  if (sort.form == Form::bottle || sort.form == Form::can) paint_round(sprite, sort, seed);
  return sprite;
}

class ShelfScene final : public Scene {
 public:
  explicit ShelfScene(const ShelfOptions& options)
      : options_(options), dice_(options.seed), furniture_(options.width, options.height) {
    light_begin_ = dice_.uniform();
    for (int place = 0; place < kPlaces; ++place) add_place(place);
    paint_furniture();
    for (Place& place : places_) {
      if (options_.stock == Stock::empty) empty(place);
      if (options_.stock == Stock::changing) fill_up(place, dice_.between(0.5, 1));
    }
    if (options_.stock == Stock::changing) sell_out(places_[static_cast<std::size_t>(dice_.below(kPlaces))]);
  }

  void advance(double seconds) override {
    seconds_ += seconds;
    if (options_.stock == Stock::empty) return;
    for (Place& place : places_) {
      if (place.is_held_empty) continue;
      if (options_.stock == Stock::full) {
        fill_up(place, dice_.between(0.33, 1));
      } else {
        trade(place, seconds);
      }
    }
  }

  void paint(Canvas& canvas) override {
    canvas.bytes = furniture_.bytes;
    for (const Place& place : places_) paint_goods(canvas, place);
  }

  Light light() const override {
    const auto phase = static_cast<float>((seconds_ / kLightPeriod_s + light_begin_) * 2 * std::numbers::pi);
    Light light;
    light.gain = 0.95F + 0.16F * std::sin(phase);
    light.warmth = 0.05F * std::sin(phase * 0.7F + 1);
    return light;
  }

  Json truth() const override {
    Json shares = Json::object();
    for (std::size_t at = 0; at < places_.size(); ++at) {
      const double share = static_cast<double>(places_[at].count()) / places_[at].room();
      shares[fmt::format("shelf_{}", at + 1)] = std::round(share * 1000) / 1000;
    }
    return {{"shares", shares}};
  }

  Json fault_description() const override {
    return Json::array(
        {{{"name", "kind"}, {"type", "choice"}, {"choices", {"none", "sold_out"}}, {"default", "sold_out"}},
         {{"name", "place"}, {"type", "integer"}, {"default", 1}, {"min", 1}, {"max", kPlaces}}});
  }

  Result<Json> set_fault(const Json& parameters) override {
    VERGE_TRY(const auto kind, string_member(parameters, "kind", "sold_out"));
    VERGE_TRY(const auto number, integer_member(parameters, "place", 1));
    if (kind != "none" && kind != "sold_out")
      return Error{ErrorCode::invalid_argument, fmt::format("there is no fault \"{}\"; give none or sold_out", kind)};
    if (number < 1 || number > kPlaces)
      return Error{ErrorCode::invalid_argument, fmt::format("place is {}; give 1 to {}", number, kPlaces)};
    Place& place = places_[static_cast<std::size_t>(number - 1)];
    place.is_held_empty = kind == "sold_out";
    place.sold_out_s = 0;
    if (place.is_held_empty) empty(place);
    if (!place.is_held_empty) fill_up(place, 1);
    return Json{{"kind", kind}, {"place", fmt::format("shelf_{}", number)}};
  }

 private:
  int across(double part) const { return static_cast<int>(part * options_.width); }
  int down(double part) const { return static_cast<int>(part * options_.height); }

  void add_place(int number) {
    const int board = number / kPlacesOnBoard, side = number % kPlacesOnBoard;
    Place place;
    const double left = side == 0 ? 0.045 : 0.515;
    place.ledge = {across(left), across(left + 0.44), down(0.035 + 0.32 * board), down(0.295 + 0.32 * board)};
    place.sort = random_sort(place.ledge);
    for (int rank = 0; rank < kRanks; ++rank)
      place.sprites.push_back(sprite_of(place.sort, rank == 0 ? 1 : 0.9F, number * 5 + 1));
    const int columns = std::max(3, (place.ledge.right - place.ledge.left) / (place.sort.wide + across(0.006)));
    place.items.assign(static_cast<std::size_t>(columns), kRanks);
    place.askew.resize(static_cast<std::size_t>(columns));
    straighten(place);
    places_.push_back(std::move(place));
  }

  Sort random_sort(const Ledge& ledge) {
    const int room = ledge.bottom - ledge.top, length = ledge.right - ledge.left;
    Sort sort;
    sort.form = static_cast<Form>(dice_.below(4));
    const double slender = sort.form == Form::bottle ? 0.34 : sort.form == Form::can ? 0.62 : 0.72;
    sort.high =
        static_cast<int>(room * (sort.form == Form::can ? dice_.between(0.45, 0.6) : dice_.between(0.66, 0.86)));
    sort.wide = std::min(static_cast<int>(sort.high * slender * dice_.between(0.85, 1.15)), length / 4);
    const auto colour = [&](double low, double high) {
      return Colour{static_cast<float>(dice_.between(low, high)), static_cast<float>(dice_.between(low, high)),
                    static_cast<float>(dice_.between(low, high))};
    };
    sort.body = colour(20, 200);
    sort.body[static_cast<std::size_t>(dice_.below(3))] = static_cast<float>(dice_.between(150, 225));
    sort.label = dice_.happens(0.6) ? colour(205, 245) : colour(120, 240);
    sort.print = colour(15, 110);
    return sort;
  }

  /// Somebody has put them there anew.
  void straighten(Place& place) {
    for (auto& column : place.askew)
      column = {static_cast<float>(dice_.between(-1.8, 1.8)), static_cast<float>(dice_.between(0.92, 1.05)),
                static_cast<float>(dice_.between(0.66, 0.74))};
  }

  void fill_up(Place& place, double share) {
    std::ranges::fill(place.items, kRanks);
    straighten(place);
    const int gone = static_cast<int>((1 - share) * place.room());
    for (int taken = 0; taken < gone; ++taken) take_one(place);
  }

  static void empty(Place& place) { std::ranges::fill(place.items, 0); }

  static void sell_out(Place& place) {
    empty(place);
    place.sold_out_s = kSoldOutFor_s;
  }

  /// From the front of some column.
  void take_one(Place& place) {
    if (place.count() == 0) return;
    auto column = static_cast<std::size_t>(dice_.below(static_cast<int>(place.items.size())));
    while (place.items[column] == 0) column = (column + 1) % place.items.size();
    --place.items[column];
  }

  /// In steps of a second at most, so that a slow camera sees the same shop as a fast one.
  void trade(Place& place, double seconds) {
    const double all_s = std::min(seconds, kTradedMax_s);
    const auto steps = static_cast<int>(all_s / kTradeStep_s);
    for (int step = 0; step < steps; ++step) trade_once(place, kTradeStep_s);
    if (const double rest_s = all_s - steps * kTradeStep_s; rest_s > 0) trade_once(place, rest_s);
  }

  void trade_once(Place& place, double seconds) {
    if (place.sold_out_s > 0) {
      place.sold_out_s -= seconds;
      if (place.sold_out_s <= 0) fill_up(place, 1);
      return;
    }
    if (dice_.happens(1 - std::exp(-seconds / kTakenEvery_s))) take_one(place);
    if (place.count() == 0) return sell_out(place);
    const bool is_low = place.count() * 2 < place.room();
    if (!is_low || !dice_.happens(1 - std::exp(-seconds / kRefillEvery_s))) return;
    if (dice_.happens(kSoldOutShare)) return sell_out(place);
    fill_up(place, dice_.between(0.85, 1));
  }

  void paint_furniture() {
    furniture_.fill(0, 0, options_.width, options_.height, {92, 94, 98}, {70, 71, 75});
    for (const Place& place : places_) paint_back(place.ledge);
    for (int board = 0; board < kBoards; ++board) paint_board(board);
    for (const double left : {0.0, 0.968}) {
      furniture_.fill(across(left), 0, across(left + 0.032), options_.height, {116, 119, 124}, {96, 98, 103});
      for (int y = 6; y < options_.height; y += 14)
        furniture_.fill(across(left + 0.013), y, across(left + 0.019), y + 7, {48, 49, 52});
    }
  }

  /// The wall behind: perforated sheet, darker under the board above.
  void paint_back(const Ledge& ledge) {
    const int margin = across(0.012);
    furniture_.fill(ledge.left - margin, ledge.top - 8, ledge.right + margin, ledge.bottom, {88, 89, 91},
                    {168, 168, 165});
    for (int y = ledge.top; y < ledge.bottom - 4; y += 9) {
      for (int x = ledge.left - margin + (y / 9 % 2) * 5; x < ledge.right + margin; x += 10) {
        furniture_.blend(x, y, {40, 40, 42}, 0.5F);
        furniture_.blend(x + 1, y, {40, 40, 42}, 0.5F);
        furniture_.blend(x, y + 1, {40, 40, 42}, 0.5F);
      }
    }
    // The board's upper side, seen a little from above.
    furniture_.fill(ledge.left - margin, ledge.bottom - down(0.022), ledge.right + margin, ledge.bottom,
                    {176, 173, 166}, {206, 203, 196});
  }

  /// The board's front edge: a rail with price tags.
  void paint_board(int board) {
    const int top = down(0.295 + 0.32 * board), bottom = top + down(0.052);
    furniture_.fill(across(0.025), top, across(0.975), bottom, {226, 226, 222}, {186, 187, 186});
    furniture_.fill(across(0.025), bottom, across(0.975), bottom + 4, {38, 38, 40}, {66, 67, 70});
    for (int side = 0; side < kPlacesOnBoard; ++side) {
      const Place& place = places_[static_cast<std::size_t>(board * kPlacesOnBoard + side)];
      const int columns = static_cast<int>(place.items.size());
      for (int tag = 0; tag < columns; tag += 2) {
        const int x = column_middle(place, tag) - across(0.022);
        const Colour paper = tag % 4 == 0 ? Colour{252, 250, 240} : Colour{250, 226, 92};
        furniture_.fill(x, top + down(0.009), x + across(0.045), bottom - down(0.009), paper);
        furniture_.fill(x + 3, top + down(0.017), x + across(0.026), top + down(0.024), {40, 40, 44});
        furniture_.fill(x + 3, top + down(0.03), x + across(0.038), top + down(0.033), {120, 120, 124});
      }
    }
  }

  int column_middle(const Place& place, int column) const {
    const auto columns = static_cast<int>(place.items.size());
    return place.ledge.left + (place.ledge.right - place.ledge.left) * (2 * column + 1) / (2 * columns);
  }

  void paint_goods(Canvas& canvas, const Place& place) const {
    const int behind = down(0.014);
    for (int rank = kRanks - 1; rank >= 0; --rank) {
      const Sprite& sprite = place.sprites[static_cast<std::size_t>(rank)];
      for (std::size_t column = 0; column < place.items.size(); ++column) {
        // The last one of a column stands behind.
        const bool is_there = rank == 0 ? place.items[column] == kRanks : place.items[column] > 0;
        if (!is_there) continue;
        const auto& askew = place.askew[column];
        const int left = column_middle(place, static_cast<int>(column)) - sprite.colours.width / 2 +
                         static_cast<int>(std::lround(askew[0] * (rank == 0 ? 1.0F : -0.7F)));
        const int bottom = place.ledge.bottom - 2 - rank * behind;
        shade_foot(canvas, left, bottom, sprite.colours.width);
        sprite.put(canvas, left, bottom, askew[rank == 0 ? 1 : 2]);
      }
    }
  }

  static void shade_foot(Canvas& canvas, int left, int bottom, int wide) {
    for (int y = bottom - 2; y < bottom + 2; ++y) {
      for (int x = left - 2; x < left + wide + 3; ++x) canvas.blend(x, y, {30, 30, 32}, 0.4F);
    }
  }

  const ShelfOptions options_;
  Dice dice_;
  Canvas furniture_;
  std::vector<Place> places_;
  double seconds_ = 0, light_begin_ = 0;
};

}  // namespace

std::unique_ptr<Scene> make_shelf_scene(const ShelfOptions& options) { return std::make_unique<ShelfScene>(options); }

}  // namespace verge::vision::simulated
