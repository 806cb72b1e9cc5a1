#include "vision/access/false_accept.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "vision/access/pair_counter.h"
#include "vision/access/test_people.h"

namespace verge::vision {
namespace {

using ::testing::HasSubstr;
using testing::person;

/// scipy 1.17.1 beta.ppf(0.95, x + 1, k - x).
TEST(AccessFalseAccept, BoundsAreExact) {
  const struct {
    std::uint64_t x, k;
    double bound;
  } cases[] = {{0, 1, 0.95},          {0, 20, 0.13910833},   {1, 20, 0.21610616}, {3, 100, 0.07571079},
               {5, 1000, 0.01048408}, {0, 2995, 0.00099974}, {19, 20, 0.99743862}};
  for (const auto& c : cases) EXPECT_NEAR(upper_bound(c.x, c.k), c.bound, 2e-8) << c.x << " of " << c.k;
  EXPECT_EQ(upper_bound(0, 0), 1);
  EXPECT_EQ(upper_bound(4, 4), 1);
}

Person with_id(const std::string& name, unsigned seed) {
  Person made = person(name, seed, 3);
  made.id = name;
  return made;
}

TEST(AccessFalseAccept, PeopleAreTheUnit) {
  EXPECT_EQ(people_needed(0.001), 5990U);
  EXPECT_EQ(people_needed(0.01), 598U);
  EXPECT_EQ(people_needed(0.95), 2U);
  std::vector<Person> people;
  for (unsigned i = 0; i < 11; ++i) people.push_back(with_id("p" + std::to_string(i), i));
  const Pairs pairs = pairs_of(people);
  EXPECT_EQ(pairs.people, 11U);
  EXPECT_EQ(pairs.genuine.size(), 33U);
  EXPECT_EQ(pairs.impostor.size(), 55U);
  EXPECT_EQ(pairs.independent.size(), 5U);
  EXPECT_GT(pairs.genuine.front(), 0.9);
  EXPECT_LT(pairs.impostor.back(), 0.8);
}

TEST(AccessFalseAccept, ATableOfThemFollowsWhoComesAndGoes) {
  const auto never = [] { return false; };
  std::vector<Person> people;
  for (unsigned i = 0; i < 6; ++i) people.push_back(with_id("p" + std::to_string(i), i));
  PairTable table;
  EXPECT_TRUE(table.update(people, never));
  people.erase(people.begin() + 1);
  people.erase(people.begin() + 3);
  people.insert(people.begin(), with_id("p9", 9));
  people.push_back(with_id("p10", 10));
  int asked = 0;
  EXPECT_FALSE(table.update(people, [&] { return ++asked > 1; }));  // Given up after one of the two.
  EXPECT_EQ(table.pairs().people, 5U);
  EXPECT_TRUE(table.update(people, [&] { return ++asked > 3; }));  // The other one only.
  const Pairs anew = pairs_of(people), followed = table.pairs();
  EXPECT_EQ(followed.people, 6U);
  EXPECT_EQ(followed.genuine, anew.genuine);
  EXPECT_EQ(followed.impostor, anew.impostor);
  EXPECT_EQ(followed.independent, anew.independent);
}

TEST(AccessPairCounter, CountsTheNewestListBesideItsCaller) {
  using std::chrono::seconds;
  const auto list_of = [](unsigned count) {
    std::vector<Person> people;
    for (unsigned i = 0; i < count; ++i) people.push_back(with_id("p" + std::to_string(i), i));
    return std::make_shared<const std::vector<Person>>(std::move(people));
  };
  PairCounter counter;
  auto many = list_of(300);
  const auto newest = list_of(10);
  (void)counter.count(many);
  const auto counted = counter.count(newest, seconds(60));
  ASSERT_TRUE(counted);
  EXPECT_EQ(counted->impostor, pairs_of(*newest).impostor);
  EXPECT_EQ(counter.count(newest), counted);  // Not once more.
  const std::weak_ptr<const std::vector<Person>> old = many;
  many.reset();
  EXPECT_TRUE(old.expired()) << "a list that is out of date is let go";
  const auto emptied = counter.count(list_of(0), seconds(60));
  ASSERT_TRUE(emptied);
  EXPECT_EQ(emptied->people, 0U);
  (void)counter.count(list_of(300));  // It ends although somebody is being compared.
}

Pairs with_impostors(std::vector<double> independent, std::vector<double> others = {}) {
  Pairs pairs;
  pairs.people = independent.size() * 2;
  pairs.impostor = independent;
  pairs.impostor.insert(pairs.impostor.end(), others.begin(), others.end());
  pairs.independent = std::move(independent);
  std::ranges::sort(pairs.impostor);
  std::ranges::sort(pairs.independent);
  return pairs;
}

TEST(AccessFalseAccept, OfAGivenThreshold) {
  const Pairs pairs = with_impostors({0.1, 0.2, 0.3, 0.4}, {0.15, 0.55});
  EXPECT_NEAR(bound_of(pairs, 0.6).bound, 1 - std::pow(0.05, 0.25), 1e-9);
  // Only pairs that share people are above it: they count, rounded up.
  const Bound shared = bound_of(pairs, 0.5);
  EXPECT_EQ(shared.impostor_errors, 1U);
  EXPECT_EQ(shared.independent_errors, 1U);
  EXPECT_NEAR(shared.bound, upper_bound(1, 4), 1e-9);
  EXPECT_EQ(shared.bound_of_stranger, 1);
  EXPECT_EQ(bound_of(pairs, 0.0).bound, 1);
  EXPECT_EQ(bound_of({}, 0.5).bound, 1);
}

TEST(AccessFalseAccept, ATighterPromiseThanThePairsSupportIsRefused) {
  std::vector<double> values;
  for (int i = 0; i < 300; ++i) values.push_back(i / 1000.0);
  const Pairs pairs = with_impostors(values);
  const auto refused = threshold_for(pairs, 0.001);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::limit);
  EXPECT_THAT(refused.error().message, HasSubstr("600 people give 300 independent pairs"));
  EXPECT_THAT(refused.error().message, HasSubstr("enrol 5990 people"));
  const auto zero = threshold_for(pairs, 0.01);  // 300 pairs without an error support 0.00994.
  ASSERT_TRUE(zero);
  EXPECT_GT(zero->threshold, 0.299);
  EXPECT_LT(zero->threshold, 0.2991);
  const auto some = threshold_for(pairs, 0.05);
  ASSERT_TRUE(some);
  EXPECT_EQ(some->independent_errors, 8U);
  EXPECT_LE(some->bound, 0.05);
  EXPECT_GT(upper_bound(9, 300), 0.05);
  EXPECT_FALSE(threshold_for({}, 0.5));
}

/// What the bound promises: of many galleries, at most one in twenty has a worse rate than its bound says.
TEST(AccessFalseAccept, HoldsForMostGalleries) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> alike(0, 1);
  int broken = 0;
  constexpr int kGalleries = 500;
  for (int i = 0; i < kGalleries; ++i) {
    std::vector<double> values(100);
    for (double& value : values) value = alike(random);
    const auto bound = threshold_for(with_impostors(values), 0.1);
    ASSERT_TRUE(bound);
    broken += 1 - bound->threshold > 0.1 ? 1 : 0;  // A stranger's similarity is uniform: that is his true rate.
  }
  EXPECT_LE(broken, kGalleries * 8 / 100);
  EXPECT_GE(broken, 3);  // And it is no looser than it must be.
}

}  // namespace
}  // namespace verge::vision
