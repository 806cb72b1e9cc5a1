#include "vision/recognition/template_defects.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <optional>

namespace verge::vision {
namespace {

constexpr int kSideMin = 16;
constexpr double kToneShare = 0.3;  ///< Of the difference of the two tones, for change_min.
constexpr double kChangeMin = 25;   ///< Grey values.
constexpr double kChangeMax = 200;
constexpr double kNoiseTimes = 6;
constexpr std::array<int, 4> kOtherShifts{-1, 1, 2, 3};  ///< Beside options.shift, for the numbers of a candidate.
constexpr int kShiftReach = 3;                           ///< The largest of them.

struct Span {
  int left, top, right, bottom;  ///< Right and bottom exclusive.
};

GreyPicture cut_out(const GreyPicture& picture, const Span& span) {
  GreyPicture part{span.right - span.left, span.bottom - span.top, {}};
  for (int y = span.top; y < span.bottom; ++y) {
    const auto begin = picture.values.begin() + static_cast<std::ptrdiff_t>(picture.place(span.left, y));
    part.values.insert(part.values.end(), begin, begin + part.width);
  }
  return part;
}

/// The largest (or smallest) value within `reach` pixels in both directions.
template <class Choose>
GreyPicture local(const GreyPicture& picture, int reach, const Choose& choose) {
  GreyPicture across = picture, result;
  for (int y = 0; y < picture.height; ++y) {
    const std::uint8_t* line = &picture.values[picture.place(0, y)];
    std::uint8_t* target = &across.values[picture.place(0, y)];
    for (int offset = 1; offset <= reach; ++offset) {
      for (int x = 0; x + offset < picture.width; ++x) target[x] = choose(target[x], line[x + offset]);
      for (int x = offset; x < picture.width; ++x) target[x] = choose(target[x], line[x - offset]);
    }
  }
  result = across;
  for (int y = 0; y < picture.height; ++y) {
    std::uint8_t* target = &result.values[picture.place(0, y)];
    for (int other = std::max(0, y - reach); other <= std::min(picture.height - 1, y + reach); ++other) {
      const std::uint8_t* line = &across.values[picture.place(0, other)];
      for (int x = 0; x < picture.width; ++x) target[x] = choose(target[x], line[x]);
    }
  }
  return result;
}
GreyPicture local_highest(const GreyPicture& picture, int reach) {
  return local(picture, reach, [](std::uint8_t a, std::uint8_t b) { return std::max(a, b); });
}
GreyPicture local_lowest(const GreyPicture& picture, int reach) {
  return local(picture, reach, [](std::uint8_t a, std::uint8_t b) { return std::min(a, b); });
}

/// [2, height, width]: see TemplateInspector::excess_of().
std::vector<float> excess_within(const GreyPicture& picture, const GreyPicture& lowest, const GreyPicture& highest,
                                 int shift) {
  const GreyPicture good_high = local_highest(highest, shift), good_low = local_lowest(lowest, shift);
  const GreyPicture high = local_highest(picture, shift), low = local_lowest(picture, shift);
  const std::size_t pixels = picture.values.size();
  std::vector<float> excess(2 * pixels);
  for (std::size_t i = 0; i < pixels; ++i) {
    const int surplus = std::max({picture.values[i] - good_high.values[i], good_low.values[i] - picture.values[i], 0});
    const int lacking = std::max({lowest.values[i] - high.values[i], low.values[i] - highest.values[i], 0});
    excess[i] = static_cast<float>(surplus);
    excess[pixels + i] = static_cast<float>(lacking);
  }
  return excess;
}

/// The difference of the means of the two tones that Otsu's threshold divides.
double tone_difference(const GreyPicture& picture) {
  std::array<double, 256> counts{};
  for (const std::uint8_t value : picture.values) ++counts[value];
  double total = static_cast<double>(picture.values.size()), sum = 0, below = 0, sum_below = 0, best = -1,
         difference = 0;
  for (int value = 0; value < 256; ++value) sum += value * counts[static_cast<std::size_t>(value)];
  for (int value = 0; value < 255; ++value) {
    below += counts[static_cast<std::size_t>(value)];
    sum_below += value * counts[static_cast<std::size_t>(value)];
    if (below == 0 || below == total) continue;
    const double apart = (sum - sum_below) / (total - below) - sum_below / below;
    const double between = below * (total - below) * apart * apart;
    if (between > best) {
      best = between;
      difference = apart;
    }
  }
  return difference;
}

/// Half the width of the thickest part of what is set, in pixels. Chamfer distance 3-4 (Borgefors 1986).
double half_thickness(const std::vector<char>& is_set, int width, int height) {
  const int wide = width + 2;
  std::vector<int> distance(static_cast<std::size_t>(wide * (height + 2)), 0);
  const auto at = [&](int x, int y) -> int& { return distance[static_cast<std::size_t>((y + 1) * wide + x + 1)]; };
  int largest = 0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      if (!is_set[static_cast<std::size_t>(y * width + x)]) continue;
      at(x, y) = std::min({at(x - 1, y) + 3, at(x, y - 1) + 3, at(x - 1, y - 1) + 4, at(x + 1, y - 1) + 4});
    }
  }
  for (int y = height - 1; y >= 0; --y) {
    for (int x = width - 1; x >= 0; --x) {
      if (!is_set[static_cast<std::size_t>(y * width + x)]) continue;
      at(x, y) = std::min({at(x, y), at(x + 1, y) + 3, at(x, y + 1) + 3, at(x + 1, y + 1) + 4, at(x - 1, y + 1) + 4});
      largest = std::max(largest, at(x, y));
    }
  }
  return largest / 3.0;
}

Status check_sides(const GreyPicture& picture) {
  if (picture.width >= kSideMin && picture.height >= kSideMin && picture.width <= kGreySideMax &&
      picture.height <= kGreySideMax &&
      picture.values.size() == static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height)) {
    return Done{};
  }
  return Error{ErrorCode::invalid_argument,
               fmt::format("compare with a good picture: {}x{} with {} values; sides from {} to {}", picture.width,
                           picture.height, picture.values.size(), kSideMin, kGreySideMax)};
}

Status check_options(const TemplateOptions& options) {
  const bool is_sound = options.shift >= 1 && options.shift <= 8 && options.change_min >= 0 &&
                        options.change_min <= 255 && options.join >= 0 && options.join <= 32 &&
                        options.pixels_min >= 1 && options.pixels_min <= 10'000 && options.margin >= 0 &&
                        options.margin <= 64 && options.correlation_min >= -1 && options.correlation_min <= 1;
  if (is_sound) return Done{};
  return Error{ErrorCode::invalid_argument,
               fmt::format("compare with a good picture: shift {} (1..8), change {} (0..255), join {} (0..32), pixels "
                           "{} (1..10,000), margin {} (0..64), correlation {} (-1..1)",
                           options.shift, options.change_min, options.join, options.pixels_min, options.margin,
                           options.correlation_min)};
}

/// Without a filter: how far outside, and how many pixels.
float strength(float largest, int changed) { return largest / 255 * (1 - std::exp(-static_cast<float>(changed) / 20)); }

/// A group of pixels (after joining) and all that is known of it, for the filter.
struct Group {
  const std::vector<std::size_t>& places;
  Span span;
};
Span span_of(const std::vector<std::size_t>& places, int width) {
  Span span{width, static_cast<int>(places.front()) / width, 0, 0};
  for (const std::size_t place : places) {
    const int x = static_cast<int>(place) % width, y = static_cast<int>(place) / width;
    span = {std::min(span.left, x), std::min(span.top, y), std::max(span.right, x + 1), std::max(span.bottom, y + 1)};
  }
  return span;
}

class CandidateReader {
 public:
  CandidateReader(const TemplatePictures& pictures, std::span<const std::uint8_t> edges, const GreyPicture& over,
                  std::span<const float> excess, int shift, float change_min)
      : pictures_(pictures), edges_(edges), over_(over), excess_(excess), shift_(shift), change_min_(change_min) {}

  float excess_at(std::size_t place) const { return std::max(excess_[place], excess_[over_.values.size() + place]); }
  bool is_changed(std::size_t place) const { return excess_at(place) > change_min_; }

  /// Nothing when fewer than `pixels_min` pixels of it changed.
  std::optional<Defect> read(const Group& group, int pixels_min) const {
    Defect defect{group.span.right, group.span.bottom, group.span.left, group.span.top, 0, {}};
    int changed = 0, surplus = 0;
    float largest = 0;
    for (const std::size_t place : group.places) {
      const float excess = excess_at(place);
      largest = std::max(largest, excess);
      if (!(excess > change_min_)) continue;
      const int x = static_cast<int>(place) % over_.width, y = static_cast<int>(place) / over_.width;
      ++changed;
      surplus += excess_[place] > change_min_;
      defect.left = std::min(defect.left, x);
      defect.top = std::min(defect.top, y);
      defect.right = std::max(defect.right, x + 1);
      defect.bottom = std::max(defect.bottom, y + 1);
    }
    if (changed < pixels_min) return std::nullopt;
    const double width = group.span.right - group.span.left, height = group.span.bottom - group.span.top;
    std::vector<double> numbers{std::log(width), std::log(height), std::log(changed + 1.0),
                                static_cast<double>(largest) / 255};
    add_other_shifts(group, numbers);
    const double surplus_share = static_cast<double>(surplus) / std::max(changed, 1);
    add_difference(group, surplus_share, std::log(width / height) * std::log(width / height), numbers);
    defect.numbers.assign(numbers.begin(), numbers.end());
    defect.score = strength(largest, changed);
    return defect;
  }

 private:
  /// How much of it remains when edges may lie less or more far elsewhere.
  void add_other_shifts(const Group& group, std::vector<double>& numbers) const {
    const int reach = shift_ + kShiftReach;
    const Span around{std::max(0, group.span.left - reach), std::max(0, group.span.top - reach),
                      std::min(over_.width, group.span.right + reach),
                      std::min(over_.height, group.span.bottom + reach)};
    const GreyPicture over = cut_out(over_, around), lowest = cut_out(pictures_.lowest, around),
                      highest = cut_out(pictures_.highest, around);
    for (const int other : kOtherShifts) {
      const auto excess = excess_within(over, lowest, highest, std::max(0, shift_ + other));
      int above = 0;
      float most = 0;
      for (const std::size_t place : group.places) {
        const int x = static_cast<int>(place) % over_.width, y = static_cast<int>(place) / over_.width;
        const std::size_t here = over.place(x - around.left, y - around.top);
        const float value = std::max(excess[here], excess[over.values.size() + here]);
        above += value > change_min_;
        most = std::max(most, value);
      }
      numbers.push_back(std::log1p(above));
      numbers.push_back(static_cast<double>(most) / 255);
    }
  }

  void add_difference(const Group& group, double surplus_share, double length, std::vector<double>& numbers) const {
    const int width = group.span.right - group.span.left, height = group.span.bottom - group.span.top;
    std::vector<char> differs(static_cast<std::size_t>(width * height));
    double difference = 0, edges = 0, differing = 0;
    for (const std::size_t place : group.places) {
      const int x = static_cast<int>(place) % over_.width, y = static_cast<int>(place) / over_.width;
      const int apart = over_.values[place] - pictures_.good.values[place];
      difference += apart;
      edges += edges_[place];
      if (!(static_cast<float>(std::abs(apart)) > change_min_)) continue;
      ++differing;
      differs[static_cast<std::size_t>((y - group.span.top) * width + x - group.span.left)] = 1;
    }
    const auto count = static_cast<double>(group.places.size());
    numbers.insert(numbers.end(), {half_thickness(differs, width, height), std::log1p(differing), surplus_share,
                                   differing / (static_cast<double>(width) * height), length, difference / count / 255,
                                   edges / count / 255});
  }

  const TemplatePictures& pictures_;
  std::span<const std::uint8_t> edges_;
  const GreyPicture& over_;
  std::span<const float> excess_;
  int shift_;
  float change_min_;
};

/// Groups of touching set pixels.
template <class Take>
void for_each_group(std::vector<std::uint8_t>& is_open, int width, int height, const Take& take) {
  std::vector<std::size_t> group;
  for (std::size_t start = 0; start < is_open.size(); ++start) {
    if (!is_open[start]) continue;
    group.assign(1, start);
    is_open[start] = 0;
    for (std::size_t next = 0; next < group.size(); ++next) {
      const int x = static_cast<int>(group[next]) % width, y = static_cast<int>(group[next]) / width;
      for (int v = std::max(0, y - 1); v <= std::min(height - 1, y + 1); ++v) {
        for (int u = std::max(0, x - 1); u <= std::min(width - 1, x + 1); ++u) {
          const auto place = static_cast<std::size_t>(v * width + u);
          if (!is_open[place]) continue;
          is_open[place] = 0;
          group.push_back(place);
        }
      }
    }
    take(group);
  }
}

}  // namespace

double DefectFilter::probability(std::span<const float> numbers) const {
  double sum = offset;
  for (std::size_t i = 0; i < numbers.size(); ++i) sum += weights[i] * static_cast<double>(numbers[i]);
  return 1 / (1 + std::exp(-sum));
}

Result<TemplateInspector> TemplateInspector::make(std::span<const GreyPicture> good, const TemplateOptions& options) {
  VERGE_CHECK(check_options(options));
  if (good.empty()) return Error{ErrorCode::invalid_argument, "compare with a good picture: there is none; give one"};
  for (const GreyPicture& picture : good) VERGE_CHECK(check_sides(picture));
  TemplatePictures pictures{good.front(), good.front(), good.front()};
  for (const GreyPicture& other : good.subspan(1)) {
    const Alignment alignment = align(good.front(), other);
    if (alignment.correlation < options.correlation_min) continue;
    const GreyPicture over = laid_over(good.front(), other, alignment);
    std::ranges::transform(pictures.lowest.values, over.values, pictures.lowest.values.begin(),
                           [](std::uint8_t a, std::uint8_t b) { return std::min(a, b); });
    std::ranges::transform(pictures.highest.values, over.values, pictures.highest.values.begin(),
                           [](std::uint8_t a, std::uint8_t b) { return std::max(a, b); });
  }
  return make(std::move(pictures), options);
}

Result<TemplateInspector> TemplateInspector::make(TemplatePictures pictures, const TemplateOptions& options) {
  VERGE_CHECK(check_options(options));
  for (const GreyPicture* picture : {&pictures.good, &pictures.lowest, &pictures.highest}) {
    VERGE_CHECK(check_sides(*picture));
    if (picture->width == pictures.good.width && picture->height == pictures.good.height) continue;
    return Error{ErrorCode::invalid_argument, "compare with a good picture: the pictures have different sides"};
  }
  TemplateInspector inspector;
  inspector.options_ = options;
  if (options.change_min == 0)
    inspector.options_.change_min = std::max(kChangeMin, kToneShare * tone_difference(pictures.good));
  const GreyPicture high = local_highest(pictures.good, 1), low = local_lowest(pictures.good, 1);
  for (std::size_t i = 0; i < high.values.size(); ++i)
    inspector.edges_.push_back(static_cast<std::uint8_t>(high.values[i] - low.values[i]));
  inspector.pictures_ = std::move(pictures);
  return inspector;
}

Result<TemplateInspector::Registered> TemplateInspector::lay_over(const GreyPicture& picture) const {
  VERGE_CHECK(check_sides(picture));
  const Alignment alignment = align(pictures_.good, picture);
  if (alignment.correlation < options_.correlation_min) {
    return Error{
        ErrorCode::not_found,
        fmt::format(
            "compare with a good picture: the part is not in the picture (correlation {:.2f}, at least {}); check "
            "camera and light",
            alignment.correlation, options_.correlation_min)};
  }
  return Registered{alignment, laid_over(pictures_.good, picture, alignment)};
}

std::vector<float> TemplateInspector::excess_of(const GreyPicture& over) const {
  return excess_within(over, pictures_.lowest, pictures_.highest, options_.shift);
}

double TemplateInspector::score_min() const {
  return static_cast<double>(strength(static_cast<float>(options_.change_min), options_.pixels_min));
}

/// A noisier picture must differ more: six times the deviation that half of the pixels stay below.
double TemplateInspector::change_min_for(const GreyPicture& over) const {
  std::array<std::size_t, 256> counts{};
  for (std::size_t i = 0; i < over.values.size(); ++i)
    ++counts[static_cast<std::size_t>(std::abs(over.values[i] - pictures_.good.values[i]))];
  std::size_t middle = 0, below = counts[0];
  while (below <= over.values.size() / 2) below += counts[++middle];
  const double wanted = std::max(options_.change_min, kNoiseTimes * 1.4826 * static_cast<double>(middle));
  return std::floor(std::min(kChangeMax, wanted));
}

std::vector<Defect> TemplateInspector::find(const GreyPicture& over, std::span<const float> excess,
                                            const DefectFilter* filter) const {
  const auto change_min = static_cast<float>(change_min_for(over));
  const CandidateReader reader(pictures_, edges_, over, excess, options_.shift, change_min);
  GreyPicture changed{over.width, over.height, std::vector<std::uint8_t>(over.values.size())};
  bool is_any = false;
  for (std::size_t i = 0; i < changed.values.size(); ++i) {
    changed.values[i] = reader.is_changed(i) ? 1 : 0;
    is_any |= changed.values[i] != 0;
  }
  std::vector<Defect> defects;
  if (!is_any) return defects;
  changed = local_highest(changed, options_.join);
  for_each_group(changed.values, over.width, over.height, [&](const std::vector<std::size_t>& places) {
    auto defect = reader.read({places, span_of(places, over.width)}, options_.pixels_min);
    if (!defect) return;
    if (filter) {
      defect->score = static_cast<float>(filter->probability(defect->numbers));
      if (static_cast<double>(defect->score) < filter->score_min) return;
    }
    defects.push_back(*std::move(defect));
  });
  std::ranges::stable_sort(defects, std::greater<>(), &Defect::score);
  return defects;
}

Result<std::vector<Defect>> TemplateInspector::inspect(const GreyPicture& picture, const DefectFilter* filter) const {
  VERGE_TRY(const Registered registered, lay_over(picture));
  return find(registered.over, excess_of(registered.over), filter);
}

}  // namespace verge::vision
