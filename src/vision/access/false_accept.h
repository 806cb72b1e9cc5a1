// vision/access/false_accept.h -- how often strangers are taken for somebody, as far as the enrolled people can tell.
//
// Any two people of the gallery are an impostor pair: a threshold that takes one for the other is wrong. Pairs that
// share a person are not independent, so people are the unit: n people give n / 2 independent pairs, whatever the
// number of pairs that can be formed (Hoeffding 1963, section 5a). All statements are one-sided with 95 % confidence:
//
//   of a given threshold  the exact upper bound for x errors in k independent pairs (Clopper and Pearson 1934);
//                         x is what the people, paired by their ids, show, or the share among all pairs rounded up,
//                         if that is more
//   of a wished rate      the threshold that leaves as many independent pairs above it as the wish allows, and no
//                         larger share of all pairs; a threshold set at an order statistic keeps that bound
//                         (Wilks 1941)
//
// The rate is that of one comparison of a stranger with one enrolled person. Who stands before a gallery of n is
// compared n times: he is taken for somebody with at most n times the rate. It is the rate of people who happen to
// come, of the kind that is enrolled; not of twins, of somebody chosen for looking alike, or of a photograph. Threads:
// pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "vision/access/person.h"

namespace verge::vision {

inline constexpr double kConfidence = 0.95;

/// The rate that k independent trials with x events still allow: the largest p with P(at most x events) >= 5 %. 1 when
/// x >= k or k is 0.
double upper_bound(std::uint64_t x, std::uint64_t k);
/// People that are needed for a bound of `rate` when no pair is above the threshold. rate  above 0, below 1
std::uint64_t people_needed(double rate);

/// How alike the gallery's people are to themselves and to each other.
struct Pairs {
  std::size_t people = 0;
  std::vector<double> genuine;      ///< Each look against the others of its person; ascending.
  std::vector<double> impostor;     ///< Each two people, their most alike looks; ascending.
  std::vector<double> independent;  ///< Of people paired by their ids, each in one pair; ascending.
};
/// Whom and whom not is told by ids, which a gallery draws at random and gives once.
/// Cost: people^2 / 2 * looks^2 * numbers; 1,000 people with 5 looks of 1,024 numbers: about 10 s.
Pairs pairs_of(const std::vector<Person>& people);

/// The same of people who come and go, so that one more costs only the comparisons with him. Memory: people^2 / 2 * 4
/// bytes; 5,000 people: 50 MB. Threads: one at a time.
class PairTable {
 public:
  /// From now on of these people. `should_stop` is asked before each that is new: true gives up, and what was compared
  /// stays for the next time. Returns whether all are compared.
  bool update(const std::vector<Person>& people, const std::function<bool()>& should_stop);
  Pairs pairs() const;

 private:
  struct Row {
    std::string id;
    std::vector<double> genuine;  ///< Each look against his others.
    std::vector<float> alike;     ///< To those of the rows before.
  };
  std::vector<Row> rows_;
};

struct Bound {
  double threshold = 0;
  std::size_t impostor_errors = 0;     ///< Of all impostor pairs.
  std::size_t independent_errors = 0;  ///< What the bound counts with.
  double bound = 1;                    ///< Of one comparison.
  double bound_of_stranger = 1;        ///< Before the whole gallery.
  std::size_t genuine_errors = 0;      ///< Looks that their own person's others would not know.
};
Bound bound_of(const Pairs& pairs, double threshold);
/// The lowest threshold that keeps the promise. Errors: limit when the people do not support it; the message says how
/// many would. rate  above 0, below 1
Result<Bound> threshold_for(const Pairs& pairs, double rate);

/// {"people", "looks_pairs", "impostor_pairs", "independent_pairs", "threshold", "false_accept_max", …}
Json to_json(const Pairs& pairs, const Bound& bound);

}  // namespace verge::vision
