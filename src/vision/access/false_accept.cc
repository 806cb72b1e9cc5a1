#include "vision/access/false_accept.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "base/json.h"
#include "vision/access/matching.h"

namespace verge::vision {
namespace {

/// P(at most x of k), each with probability p.
double at_most(std::uint64_t x, std::uint64_t k, double p) {
  const double n = static_cast<double>(k);
  double sum = 0;
  for (std::uint64_t i = 0; i <= x; ++i) {
    const double j = static_cast<double>(i);
    sum += std::exp(std::lgamma(n + 1) - std::lgamma(j + 1) - std::lgamma(n - j + 1) + j * std::log(p) +
                    (n - j) * std::log1p(-p));
  }
  return sum;
}

std::size_t count_from(const std::vector<double>& ascending, double threshold) {
  return static_cast<std::size_t>(ascending.end() - std::ranges::lower_bound(ascending, threshold));
}

/// Just above the value with `above` larger ones; below everything when all may be above it.
double just_above(const std::vector<double>& ascending, std::size_t above) {
  if (above >= ascending.size()) return -1;
  return std::nextafter(ascending[ascending.size() - 1 - above], 2.0);
}

double between_people(const Person& a, const Person& b) {
  double most = Match::kNone;
  for (const Embedding& look : b.looks) most = std::max(most, similarity(a, look));
  return most;
}

/// No threshold above it is reached by the number that it was.
float rounded_up(double number) {
  const auto rounded = static_cast<float>(number);
  return static_cast<double>(rounded) < number ? std::nextafter(rounded, 2.0F) : rounded;
}

/// The person's other looks against this one.
double to_own(const Person& person, std::size_t at) {
  double most = Match::kNone;
  for (std::size_t other = 0; other < person.looks.size(); ++other) {
    if (other != at) most = std::max(most, similarity(person.looks[other], person.looks[at]));
  }
  return most;
}

}  // namespace

double upper_bound(std::uint64_t x, std::uint64_t k) {
  if (x >= k) return 1;
  if (x == 0) return 1 - std::pow(1 - kConfidence, 1 / static_cast<double>(k));
  double low = 0, high = 1;
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    (at_most(x, k, middle) > 1 - kConfidence ? low : high) = middle;
  }
  return high;
}

std::uint64_t people_needed(double rate) {
  auto pairs = static_cast<std::uint64_t>(std::max(1.0, std::ceil(std::log(1 - kConfidence) / std::log1p(-rate))));
  while (pairs > 1 && upper_bound(0, pairs - 1) <= rate) --pairs;  // What rounding did.
  while (upper_bound(0, pairs) > rate) ++pairs;
  return 2 * pairs;
}

Pairs pairs_of(const std::vector<Person>& people) {
  PairTable table;
  table.update(people, [] { return false; });
  return table.pairs();
}

bool PairTable::update(const std::vector<Person>& people, const std::function<bool()>& should_stop) {
  std::unordered_map<std::string_view, const Person*> by_id;
  for (const Person& person : people) by_id.emplace(person.id, &person);
  for (std::size_t at = rows_.size(); at-- > 0;) {
    if (by_id.contains(rows_[at].id)) continue;
    for (std::size_t later = at + 1; later < rows_.size(); ++later) {
      rows_[later].alike.erase(rows_[later].alike.begin() + static_cast<std::ptrdiff_t>(at));
    }
    rows_.erase(rows_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  std::vector<const Person*> known;
  for (const Row& row : rows_) known.push_back(by_id.extract(row.id).mapped());
  for (const auto& [id, person] : by_id) {  // Who is left is new.
    if (should_stop()) return false;
    Row row{person->id, {}, {}};
    for (std::size_t at = 0; at < person->looks.size() && person->looks.size() > 1; ++at) {
      row.genuine.push_back(to_own(*person, at));
    }
    for (const Person* other : known) row.alike.push_back(rounded_up(between_people(*person, *other)));
    known.push_back(person);
    rows_.push_back(std::move(row));
  }
  return true;
}

Pairs PairTable::pairs() const {
  Pairs pairs;
  pairs.people = rows_.size();
  for (const Row& row : rows_) {
    pairs.genuine.insert(pairs.genuine.end(), row.genuine.begin(), row.genuine.end());
    pairs.impostor.insert(pairs.impostor.end(), row.alike.begin(), row.alike.end());
  }
  // Ids are drawn at random: which two make a pair does not depend on how alike they are.
  std::vector<std::size_t> order(rows_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t at) -> const std::string& { return rows_[at].id; });
  for (std::size_t at = 0; at + 1 < order.size(); at += 2) {
    const auto [first, second] = std::minmax(order[at], order[at + 1]);
    pairs.independent.push_back(rows_[second].alike[first]);
  }
  for (auto* values : {&pairs.genuine, &pairs.impostor, &pairs.independent}) std::ranges::sort(*values);
  return pairs;
}

Bound bound_of(const Pairs& pairs, double threshold) {
  Bound bound;
  bound.threshold = threshold;
  bound.impostor_errors = count_from(pairs.impostor, threshold);
  bound.genuine_errors = pairs.genuine.size() - count_from(pairs.genuine, threshold);
  const std::size_t independent = pairs.independent.size();
  if (independent > 0) {
    const double share = static_cast<double>(bound.impostor_errors) / static_cast<double>(pairs.impostor.size());
    const auto rounded_up = static_cast<std::size_t>(std::ceil(share * static_cast<double>(independent) - 1e-9));
    bound.independent_errors = std::max(count_from(pairs.independent, threshold), rounded_up);
  }
  bound.bound = upper_bound(bound.independent_errors, independent);
  bound.bound_of_stranger = std::min(1.0, bound.bound * static_cast<double>(pairs.people));
  return bound;
}

Result<Bound> threshold_for(const Pairs& pairs, double rate) {
  const std::size_t independent = pairs.independent.size();
  if (upper_bound(0, independent) > rate) {
    return Error{
        ErrorCode::limit,
        fmt::format("a false-accept rate of {:g} cannot be promised: {} people give {} independent pairs, which "
                    "support no less than {:.2g} (95 % confidence); enrol {} people, or promise less",
                    rate, pairs.people, independent, upper_bound(0, independent), people_needed(rate))};
  }
  std::size_t allowed = 0, too_many = independent;  // With every pair above it the bound is 1.
  while (too_many - allowed > 1) {
    const std::size_t middle = (allowed + too_many) / 2;
    (upper_bound(middle, independent) <= rate ? allowed : too_many) = middle;
  }
  const auto allowed_of_all = allowed * pairs.impostor.size() / independent;
  return bound_of(pairs, std::max(just_above(pairs.independent, allowed), just_above(pairs.impostor, allowed_of_all)));
}

Json to_json(const Pairs& pairs, const Bound& bound) {
  Json json = {{"people", pairs.people},
               {"genuine_looks", pairs.genuine.size()},
               {"impostor_pairs", pairs.impostor.size()},
               {"independent_pairs", pairs.independent.size()},
               {"threshold", bound.threshold},
               {"impostor_errors", bound.impostor_errors},
               {"genuine_errors", bound.genuine_errors},
               {"false_accept_max", bound.bound},
               {"false_accept_max_of_stranger", bound.bound_of_stranger},
               {"confidence", kConfidence}};
  if (!pairs.genuine.empty()) json["genuine_least"] = pairs.genuine.front();
  if (!pairs.impostor.empty()) json["impostor_most"] = pairs.impostor.back();
  return json;
}

}  // namespace verge::vision
