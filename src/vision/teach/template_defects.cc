#include "vision/teach/template_defects.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <functional>

#include "vision/letterbox.h"

namespace verge::vision {
namespace {

constexpr int kSideMin = 16, kSideMax = 4096;
constexpr int kCoarseSide = 40;  ///< Of the smallest level of the pyramid, about.
constexpr int kFlatMax = 12;     ///< Grey values; a good picture with less contrast shows nothing.
constexpr int kIterationsMax = 20;
constexpr double kResidualScale = 25;  ///< Grey values; larger differences (defects) pull less.
constexpr double kToneShare = 0.3;     ///< Of the difference of the two tones, for change_min.
constexpr double kChangeMin = 25;      ///< Grey values.
constexpr double kNoiseTimes = 6;
constexpr std::array<int, 4> kOtherShifts{-1, 1, 2, 3};  ///< Beside options.shift, for the numbers of a candidate.

std::size_t place_of(const GreyPicture& picture, int x, int y) {
  return static_cast<std::size_t>(y * picture.width + x);
}

GreyPicture halved(const GreyPicture& picture) {
  GreyPicture half{picture.width / 2, picture.height / 2, {}};
  for (int y = 0; y < half.height; ++y) {
    for (int x = 0; x < half.width; ++x) {
      const std::uint8_t* at = &picture.values[place_of(picture, 2 * x, 2 * y)];
      half.values.push_back(
          static_cast<std::uint8_t>((at[0] + at[1] + at[picture.width] + at[picture.width + 1] + 2) / 4));
    }
  }
  return half;
}

/// Bilinear value; false outside.
bool sample(const GreyPicture& picture, double x, double y, double& value) {
  if (!(x >= 0 && y >= 0 && x <= picture.width - 1 && y <= picture.height - 1)) return false;
  const int left = std::min(static_cast<int>(x), picture.width - 2),
            top = std::min(static_cast<int>(y), picture.height - 2);
  const double across = x - left, down = y - top;
  const std::uint8_t* at = &picture.values[place_of(picture, left, top)];
  value = (at[0] * (1 - across) + at[1] * across) * (1 - down) +
          (at[picture.width] * (1 - across) + at[picture.width + 1] * across) * down;
  return true;
}

/// From pixels of the template to pixels of the picture.
struct Mapping {
  Mapping(const Alignment& alignment, const GreyPicture& good, const GreyPicture& picture)
      : at(alignment),
        from_x((good.width - 1) / 2.0),
        from_y((good.height - 1) / 2.0),
        to_x((picture.width - 1) / 2.0),
        to_y((picture.height - 1) / 2.0) {}
  double x_of(double u, double v) const { return at.right * u - at.turn * v + at.across + to_x; }
  double y_of(double u, double v) const { return at.turn * u + at.right * v + at.down + to_y; }
  const Alignment& at;
  double from_x, from_y, to_x, to_y;
};

double correlation_of(const GreyPicture& good, const GreyPicture& picture, const Alignment& alignment) {
  const Mapping mapping(alignment, good, picture);
  double count = 0, a = 0, b = 0, aa = 0, bb = 0, ab = 0;
  for (int y = 0; y < good.height; ++y) {
    for (int x = 0; x < good.width; ++x) {
      const double u = x - mapping.from_x, v = y - mapping.from_y;
      double value = 0;
      if (!sample(picture, mapping.x_of(u, v), mapping.y_of(u, v), value)) continue;
      const double wanted = good.values[place_of(good, x, y)];
      ++count;
      a += wanted;
      b += value;
      aa += wanted * wanted;
      bb += value * value;
      ab += wanted * value;
    }
  }
  if (count < 0.5 * good.width * good.height) return -1;
  const double spread = (aa - a * a / count) * (bb - b * b / count);
  return spread > 1e-6 ? (ab - a * b / count) / std::sqrt(spread) : 0;
}

/// Tries shifts and turns on a small level.
Alignment search_coarsely(const GreyPicture& good, const GreyPicture& picture) {
  Alignment best;
  best.correlation = correlation_of(good, picture, best);
  const int reach = std::min(good.width, good.height) / 7;
  for (int degrees = -8; degrees <= 8; degrees += 4) {
    for (int down = -reach; down <= reach; ++down) {
      for (int across = -reach; across <= reach; ++across) {
        const double angle = degrees * 3.14159265358979 / 180;
        Alignment trial{std::cos(angle), std::sin(angle), static_cast<double>(across), static_cast<double>(down)};
        trial.correlation = correlation_of(good, picture, trial);
        if (trial.correlation > best.correlation + 1e-9) best = trial;
      }
    }
  }
  return best;
}

/// Gauss-Newton over right, turn, across, down, gain and offset.
void refine(const GreyPicture& good, const GreyPicture& picture, Alignment& alignment) {
  using Vector = Eigen::Matrix<double, 6, 1>;
  const int step = std::max(1, static_cast<int>(std::sqrt(static_cast<double>(good.width) * good.height / 30'000)));
  for (int iteration = 0; iteration < kIterationsMax; ++iteration) {
    const Mapping mapping(alignment, good, picture);
    Eigen::Matrix<double, 6, 6> normal = Eigen::Matrix<double, 6, 6>::Zero();
    Vector right_side = Vector::Zero();
    for (int y = 0; y < good.height; y += step) {
      for (int x = 0; x < good.width; x += step) {
        const double u = x - mapping.from_x, v = y - mapping.from_y;
        const double at_x = mapping.x_of(u, v), at_y = mapping.y_of(u, v);
        double value = 0, left = 0, right = 0, above = 0, below = 0;
        if (!sample(picture, at_x, at_y, value) || !sample(picture, at_x - 1, at_y, left) ||
            !sample(picture, at_x + 1, at_y, right) || !sample(picture, at_x, at_y - 1, above) ||
            !sample(picture, at_x, at_y + 1, below)) {
          continue;
        }
        const double slope_x = alignment.gain * (right - left) / 2, slope_y = alignment.gain * (below - above) / 2;
        const double rest = good.values[place_of(good, x, y)] - alignment.gain * value - alignment.offset;
        const double weight = 1 / (1 + rest * rest / (kResidualScale * kResidualScale));
        Vector slopes;
        slopes << slope_x * u + slope_y * v, slope_y * u - slope_x * v, slope_x, slope_y, value, 1;
        normal.noalias() += weight * slopes * slopes.transpose();
        right_side += weight * rest * slopes;
      }
    }
    normal.diagonal() += 1e-6 * normal.diagonal() + Vector::Constant(1e-9);
    const Vector change = normal.ldlt().solve(right_side);
    if (!change.allFinite()) return;
    alignment.right += change(0);
    alignment.turn += change(1);
    alignment.across += change(2);
    alignment.down += change(3);
    alignment.gain = std::clamp(alignment.gain + change(4), 0.2, 5.0);
    alignment.offset = std::clamp(alignment.offset + change(5), -200.0, 200.0);
    const double size = std::max(good.width, good.height) / 2.0;
    if (std::abs(change(2)) + std::abs(change(3)) + size * (std::abs(change(0)) + std::abs(change(1))) < 0.01) return;
  }
}

/// The picture laid over the template; what lies outside of it is as the template.
GreyPicture laid_over(const GreyPicture& good, const GreyPicture& picture, const Alignment& alignment) {
  const Mapping mapping(alignment, good, picture);
  GreyPicture result = good;
  for (int y = 0; y < good.height; ++y) {
    for (int x = 0; x < good.width; ++x) {
      const double u = x - mapping.from_x, v = y - mapping.from_y;
      double value = 0;
      if (!sample(picture, mapping.x_of(u, v), mapping.y_of(u, v), value)) continue;
      result.values[place_of(good, x, y)] =
          static_cast<std::uint8_t>(std::clamp(alignment.gain * value + alignment.offset + 0.5, 0.0, 255.0));
    }
  }
  return result;
}

/// The largest (or smallest) value within `reach` pixels in both directions.
template <class Choose>
GreyPicture local(const GreyPicture& picture, int reach, const Choose& choose) {
  GreyPicture across = picture, result;
  for (int y = 0; y < picture.height; ++y) {
    const std::uint8_t* line = &picture.values[place_of(picture, 0, y)];
    std::uint8_t* target = &across.values[place_of(picture, 0, y)];
    for (int offset = 1; offset <= reach; ++offset) {
      for (int x = 0; x + offset < picture.width; ++x) target[x] = choose(target[x], line[x + offset]);
      for (int x = offset; x < picture.width; ++x) target[x] = choose(target[x], line[x - offset]);
    }
  }
  result = across;
  for (int y = 0; y < picture.height; ++y) {
    std::uint8_t* target = &result.values[place_of(picture, 0, y)];
    for (int other = std::max(0, y - reach); other <= std::min(picture.height - 1, y + reach); ++other) {
      const std::uint8_t* line = &across.values[place_of(picture, 0, other)];
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

/// By how much each pixel of the picture is outside of what the template tolerates (first), or the other way round.
struct Excess {
  std::vector<int> picture, good;
  int at(std::size_t place) const { return std::max(picture[place], good[place]); }
};
Excess excess_of(const GreyPicture& picture, const GreyPicture& lowest, const GreyPicture& highest, int shift) {
  const GreyPicture good_high = local_highest(highest, shift), good_low = local_lowest(lowest, shift);
  const GreyPicture high = local_highest(picture, shift), low = local_lowest(picture, shift);
  Excess excess;
  for (std::size_t i = 0; i < picture.values.size(); ++i) {
    excess.picture.push_back(
        std::max({picture.values[i] - good_high.values[i], good_low.values[i] - picture.values[i], 0}));
    excess.good.push_back(std::max({lowest.values[i] - high.values[i], low.values[i] - highest.values[i], 0}));
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

double overlap_of(const Defect& a, const Defect& b, int margin) {
  const double width = std::min(a.right + margin, b.right) - std::max(a.left - margin, b.left);
  const double height = std::min(a.bottom + margin, b.bottom) - std::max(a.top - margin, b.top);
  if (width <= 0 || height <= 0) return 0;
  const double both = width * height;
  return both / (static_cast<double>(a.right - a.left + 2 * margin) * (a.bottom - a.top + 2 * margin) +
                 static_cast<double>(b.right - b.left) * (b.bottom - b.top) - both);
}

double best_overlap(const Defect& candidate, const std::vector<Defect>& labels, int margin) {
  double best = 0;
  for (const Defect& label : labels) best = std::max(best, overlap_of(candidate, label, margin));
  return best;
}

Status check_sides(const GreyPicture& picture) {
  if (picture.width >= kSideMin && picture.height >= kSideMin && picture.width <= kSideMax &&
      picture.height <= kSideMax &&
      picture.values.size() == static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height)) {
    return Done{};
  }
  return Error{ErrorCode::invalid_argument,
               fmt::format("compare with a good picture: {}x{} with {} values; sides from {} to {}", picture.width,
                           picture.height, picture.values.size(), kSideMin, kSideMax)};
}

/// What a candidate is described by: all that is known of the group's pixels.
class CandidateReader {
 public:
  CandidateReader(const GreyPicture& good, const GreyPicture& picture, const GreyPicture& lowest,
                  const GreyPicture& highest, int shift, int change_min)
      : good_(good), picture_(picture), excess_(excess_of(picture, lowest, highest, shift)), change_min_(change_min) {
    for (const int other : kOtherShifts)
      others_.push_back(excess_of(picture, lowest, highest, std::max(0, shift + other)));
    const GreyPicture high = local_highest(good, 1), low = local_lowest(good, 1);
    for (std::size_t i = 0; i < high.values.size(); ++i)
      edges_.push_back(static_cast<std::uint8_t>(high.values[i] - low.values[i]));
  }
  bool is_changed(std::size_t place) const { return excess_.at(place) > change_min_; }

  /// box: what the numbers are about, inclusive of the join; pixels: places of the group after joining.
  Defect read(int left, int top, int right, int bottom, const std::vector<std::size_t>& pixels) const {
    const int width = right - left, height = bottom - top;
    std::vector<char> differs(static_cast<std::size_t>(width * height));
    Defect defect{right, bottom, left, top, 0, {}};
    int changed = 0, surplus = 0, largest = 0;
    double difference = 0, edges = 0, differing = 0;
    std::array<std::pair<int, int>, kOtherShifts.size()> other{};
    for (const std::size_t place : pixels) {
      const int x = static_cast<int>(place) % good_.width, y = static_cast<int>(place) / good_.width;
      const int excess = excess_.at(place);
      largest = std::max(largest, excess);
      if (excess > change_min_) {
        ++changed;
        surplus += excess_.picture[place] > change_min_;
        defect.left = std::min(defect.left, x);
        defect.top = std::min(defect.top, y);
        defect.right = std::max(defect.right, x + 1);
        defect.bottom = std::max(defect.bottom, y + 1);
      }
      for (std::size_t i = 0; i < others_.size(); ++i) {
        const int value = others_[i].at(place);
        other[i].first += value > change_min_;
        other[i].second = std::max(other[i].second, value);
      }
      const int apart = picture_.values[place] - good_.values[place];
      difference += apart;
      edges += edges_[place];
      if (std::abs(apart) > change_min_) {
        ++differing;
        differs[static_cast<std::size_t>((y - top) * width + x - left)] = 1;
      }
    }
    const auto count = static_cast<double>(pixels.size());
    const double w = width, h = height;
    std::vector<double> numbers{std::log(w), std::log(h), std::log(changed + 1.0), largest / 255.0};
    for (const auto& [above, most] : other) {
      numbers.push_back(std::log1p(above));
      numbers.push_back(most / 255.0);
    }
    numbers.insert(numbers.end(), {half_thickness(differs, width, height), std::log1p(differing),
                                   static_cast<double>(surplus) / std::max(changed, 1), differing / (w * h),
                                   std::log(w / h) * std::log(w / h), difference / count / 255, edges / count / 255});
    defect.numbers.assign(numbers.begin(), numbers.end());
    defect.score = static_cast<float>(largest) / 255 * (1 - std::exp(-static_cast<float>(changed) / 20));
    pixels_ = changed;
    return defect;
  }
  int changed_pixels() const { return pixels_; }

 private:
  const GreyPicture& good_;
  const GreyPicture& picture_;
  Excess excess_;
  std::vector<Excess> others_;
  std::vector<std::uint8_t> edges_;
  int change_min_;
  mutable int pixels_ = 0;
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

Result<GreyPicture> as_grey(const pipeline::Frame& frame) {
  if (frame.width < 1 || frame.height < 1 || frame.width > kSideMax || frame.height > kSideMax) {
    return Error{ErrorCode::invalid_argument, fmt::format("read a picture of {}x{} as grey: sides from 1 to {}",
                                                          frame.width, frame.height, kSideMax)};
  }
  LetterboxOptions options;
  options.width = frame.width;
  options.height = frame.height;
  options.is_grey = true;
  options.type = inference::DataType::uint8;
  inference::Tensor tensor(options.type, shape_of(options));
  Letterbox letterbox(options);
  VERGE_CHECK(letterbox.fill(frame, tensor));
  const auto values = tensor.values<std::uint8_t>();
  return GreyPicture{frame.width, frame.height, {values.begin(), values.end()}};
}

Alignment align(const GreyPicture& good, const GreyPicture& picture) {
  const auto [darkest, brightest] = std::ranges::minmax(good.values);
  if (brightest - darkest < kFlatMax) {
    Alignment anywhere;  // A blank part has nothing to hold on to, and nothing to be moved.
    anywhere.correlation = 1;
    return anywhere;
  }
  std::vector<GreyPicture> goods{good}, pictures{picture};
  const auto is_large = [](const GreyPicture& level) { return std::min(level.width, level.height) > kCoarseSide; };
  while (is_large(goods.back()) && is_large(pictures.back())) {
    goods.push_back(halved(goods.back()));
    pictures.push_back(halved(pictures.back()));
  }
  Alignment alignment = search_coarsely(goods.back(), pictures.back());
  for (std::size_t level = goods.size(); level-- > 0;) {
    refine(goods[level], pictures[level], alignment);
    if (level == 0) break;
    alignment.across *= 2;
    alignment.down *= 2;
  }
  alignment.correlation = correlation_of(good, picture, alignment);
  Alignment unmoved;
  unmoved.correlation = correlation_of(good, picture, unmoved);
  return alignment.correlation >= unmoved.correlation ? alignment : unmoved;
}

Result<TemplateInspector> TemplateInspector::make(std::span<const GreyPicture> good, const TemplateOptions& options) {
  const bool is_sound = options.shift >= 1 && options.shift <= 8 && options.change_min >= 0 &&
                        options.change_min <= 255 && options.join >= 0 && options.join <= 32 &&
                        options.pixels_min >= 1 && options.pixels_min <= 10'000 && options.margin >= 0 &&
                        options.margin <= 64;
  if (good.empty() || !is_sound) {
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("compare with a good picture: {} good pictures, shift {} (1..8), change {} (0..255), join {} "
                    "(0..32), pixels {} (1..10,000), margin {} (0..64)",
                    good.size(), options.shift, options.change_min, options.join, options.pixels_min, options.margin)};
  }
  for (const GreyPicture& picture : good) VERGE_CHECK(check_sides(picture));
  TemplateInspector inspector;
  inspector.options_ = options;
  inspector.good_ = inspector.lowest_ = inspector.highest_ = good.front();
  for (const GreyPicture& other : good.subspan(1)) {
    const Alignment alignment = align(good.front(), other);
    if (alignment.correlation < options.correlation_min) continue;
    const GreyPicture over = laid_over(good.front(), other, alignment);
    for (std::size_t i = 0; i < over.values.size(); ++i) {
      inspector.lowest_.values[i] = std::min(inspector.lowest_.values[i], over.values[i]);
      inspector.highest_.values[i] = std::max(inspector.highest_.values[i], over.values[i]);
    }
  }
  if (options.change_min == 0)
    inspector.options_.change_min = std::max(kChangeMin, kToneShare * tone_difference(good.front()));
  return inspector;
}

Result<std::vector<Defect>> TemplateInspector::inspect(const GreyPicture& picture, const DefectFilter* filter) const {
  VERGE_CHECK(check_sides(picture));
  const Alignment alignment = align(good_, picture);
  if (alignment.correlation < options_.correlation_min) {
    return Error{
        ErrorCode::not_found,
        fmt::format(
            "compare with a good picture: the part is not in the picture (correlation {:.2f}, at least {}); check "
            "camera and light",
            alignment.correlation, options_.correlation_min)};
  }
  const GreyPicture over = laid_over(good_, picture, alignment);
  std::vector<int> apart;
  for (std::size_t i = 0; i < over.values.size(); ++i) apart.push_back(std::abs(over.values[i] - good_.values[i]));
  const auto middle = apart.begin() + static_cast<std::ptrdiff_t>(apart.size() / 2);
  std::ranges::nth_element(apart, middle);
  const int change_min =
      static_cast<int>(std::min(200.0, std::max(options_.change_min, kNoiseTimes * 1.4826 * *middle)));
  const CandidateReader reader(good_, over, lowest_, highest_, options_.shift, change_min);
  GreyPicture changed = over;
  for (std::size_t i = 0; i < changed.values.size(); ++i) changed.values[i] = reader.is_changed(i) ? 1 : 0;
  changed = local_highest(changed, options_.join);
  std::vector<Defect> defects;
  for_each_group(changed.values, good_.width, good_.height, [&](const std::vector<std::size_t>& group) {
    int left = good_.width, top = good_.height, right = 0, bottom = 0;
    for (const std::size_t place : group) {
      const int x = static_cast<int>(place) % good_.width, y = static_cast<int>(place) / good_.width;
      left = std::min(left, x);
      top = std::min(top, y);
      right = std::max(right, x + 1);
      bottom = std::max(bottom, y + 1);
    }
    Defect defect = reader.read(left, top, right, bottom, group);
    if (reader.changed_pixels() < options_.pixels_min) return;
    if (filter) {
      defect.score = static_cast<float>(training::soft_max(filter->model.logits(defect.numbers))[1]);
      if (defect.score < filter->score_min) return;
    }
    defects.push_back(std::move(defect));
  });
  std::ranges::stable_sort(defects, std::greater<>(), &Defect::score);
  return defects;
}

Result<DefectFilter> learn_defect_filter(std::span<const TemplateExample> pictures, double overlap_min) {
  DefectFilter filter;
  double best_sum = -1;
  for (int margin = 0; margin <= 16; ++margin) {
    double sum = 0;
    for (const auto& picture : pictures) {
      for (const Defect& candidate : picture.candidates) sum += best_overlap(candidate, picture.labels, margin);
    }
    if (sum > best_sum) {
      best_sum = sum;
      filter.margin = margin;
    }
  }
  training::Rows rows;
  rows.columns = kCandidateNumbers;
  std::vector<int> is_true;
  std::size_t labels = 0;
  for (const auto& picture : pictures) {
    labels += picture.labels.size();
    for (const Defect& candidate : picture.candidates) {
      rows.add(candidate.numbers);
      is_true.push_back(best_overlap(candidate, picture.labels, filter.margin) >= overlap_min ? 1 : 0);
    }
  }
  const auto true_count = static_cast<std::size_t>(std::ranges::count(is_true, 1));
  if (true_count < 10 || is_true.size() - true_count < 10) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("learn which differences are defects: {} true and {} false ones; 10 of each are needed",
                             true_count, is_true.size() - true_count)};
  }
  const double penalties[] = {1e-3};
  VERGE_TRY(const auto models, training::fit_logistic(rows, is_true, 2, penalties));
  filter.model = models.front();
  std::vector<std::pair<double, int>> scored;
  for (std::size_t i = 0; i < is_true.size(); ++i)
    scored.emplace_back(training::soft_max(filter.model.logits(rows.row(i)))[1], is_true[i]);
  std::ranges::sort(scored, std::greater<>());
  double best = -1, hits = 0;
  for (std::size_t i = 0; i < scored.size(); ++i) {
    hits += scored[i].second;
    const double balance = 2 * hits / (static_cast<double>(i + 1) + static_cast<double>(labels));  // F1
    if (balance > best) {
      best = balance;
      filter.score_min = scored[i].first;
    }
  }
  return filter;
}

}  // namespace verge::vision
