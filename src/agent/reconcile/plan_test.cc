#include "agent/reconcile/plan.h"

#include <gtest/gtest.h>

namespace verge::agent {
namespace {

using contract::DesiredStatus;
using contract::RestartPolicy;

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kNow = 1'000'000 * kSecond;
constexpr std::int64_t kBoot = kNow - 100'000 * kSecond;

DesiredModule wanted(RestartPolicy policy = RestartPolicy::always, DesiredStatus status = DesiredStatus::running) {
  DesiredModule module;
  module.spec.restart_policy = policy;
  module.spec.status = status;
  module.hash = "h1";
  module.has_image = true;
  return module;
}

ActualContainer there(ContainerState state, int exit_code = 0, std::int64_t ended_ago_s = 1000) {
  ActualContainer actual;
  actual.module = "m";
  actual.hash = "h1";
  actual.container.id = "c1";
  actual.container.state = state;
  actual.container.exit_code = exit_code;
  actual.container.started_us = kNow - (ended_ago_s + 60) * kSecond;
  actual.container.finished_us = state == ContainerState::exited ? kNow - ended_ago_s * kSecond : 0;
  return actual;
}

ActualContainer lost() {
  auto actual = there(ContainerState::running);
  actual.is_lost = true;
  return actual;
}

ModuleHistory restarted(std::uint32_t count) {
  ModuleHistory history;
  history.restart_count = count;
  return history;
}

ModuleHistory stopped_by_us() {
  ModuleHistory history;
  history.was_stopped_by_us = true;
  return history;
}

ModuleHistory seen_lost(std::int64_t ago_s) {
  ModuleHistory history;
  history.last_exit_us = kNow - ago_s * kSecond;
  return history;
}

ModuleHistory failed_commands(std::uint32_t count, std::int64_t ago_s) {
  ModuleHistory history;
  history.failure_count = count;
  history.last_failure_us = kNow - ago_s * kSecond;
  return history;
}

struct PlanRow {
  const char* behaviour;
  std::vector<DesiredModule> desired;  // zero or one, named "m"
  std::vector<ActualContainer> actual;
  ModuleHistory history;
  std::vector<Action> expected;
  RuntimeStatus status = RuntimeStatus::running;
};

DesiredModule without_image() {
  auto module = wanted();
  module.has_image = false;
  return module;
}
DesiredModule blocked() {
  auto module = wanted();
  module.blocked = "no identity yet";
  return module;
}
DesiredModule updated() {
  auto module = wanted();
  module.hash = "h2";
  return module;
}
DesiredModule updated_without_image() {
  auto module = updated();
  module.has_image = false;
  return module;
}
ActualContainer unhealthy() {
  auto actual = there(ContainerState::running);
  actual.container.health = "unhealthy";
  return actual;
}
ActualContainer from_before_boot(int exit_code) {
  auto actual = there(ContainerState::exited, exit_code);
  actual.container.started_us = kBoot - 5 * kSecond;
  return actual;
}
ActualContainer second_container() {
  auto actual = there(ContainerState::created);
  actual.hash = "h0";
  actual.container.id = "c0";
  return actual;
}

const auto kNever = RestartPolicy::never;
const auto kOnFailure = RestartPolicy::on_failure;
const auto kOnUnhealthy = RestartPolicy::on_unhealthy;
const auto kAlways = RestartPolicy::always;
const auto kRunning = ContainerState::running;
const auto kExited = ContainerState::exited;
const auto kCreated = ContainerState::created;
using enum Action;

TEST(Plan, DecidesOneModule) {
  const std::vector<PlanRow> rows = {
      {"nothing there: create", {wanted()}, {}, {}, {create}, RuntimeStatus::unknown},
      {"no image: fetch first", {without_image()}, {}, {}, {fetch}, RuntimeStatus::unknown},
      {"blocked: wait", {blocked()}, {}, {}, {}, RuntimeStatus::unknown},
      {"stopped and absent: create it all the same",
       {wanted(kAlways, DesiredStatus::stopped)},
       {},
       {},
       {create},
       RuntimeStatus::unknown},
      {"runs: nothing", {wanted()}, {there(kRunning)}, {}, {}},
      {"created, never started: start", {wanted(kOnFailure)}, {there(kCreated)}, {}, {start}, RuntimeStatus::stopped},
      {"dropped from the manifest: remove", {}, {there(kRunning)}, {}, {remove}},
      {"changed: replace", {updated()}, {there(kRunning)}, {}, {replace}},
      {"changed, image to come: the old one runs on", {updated_without_image()}, {there(kRunning)}, {}, {fetch}},
      {"changed, image to come, old one crashed: it is restarted meanwhile",
       {updated_without_image()},
       {there(kExited, 1)},
       {},
       {fetch, restart},
       RuntimeStatus::backoff},
      {"desired stopped, runs: stop", {wanted(kAlways, DesiredStatus::stopped)}, {there(kRunning)}, {}, {stop}},
      {"desired stopped, ended: nothing",
       {wanted(kAlways, DesiredStatus::stopped)},
       {there(kExited)},
       {},
       {},
       RuntimeStatus::stopped},
      {"started again after we stopped it",
       {wanted(kOnFailure)},
       {there(kExited, 143)},
       stopped_by_us(),
       {start},
       RuntimeStatus::stopped},
      {"never, failed: stays", {wanted(kNever)}, {there(kExited, 1)}, {}, {}, RuntimeStatus::failed},
      {"never, ended: stays", {wanted(kNever)}, {there(kExited, 0)}, {}, {}, RuntimeStatus::stopped},
      {"on-failure, ended well: stays", {wanted(kOnFailure)}, {there(kExited, 0)}, {}, {}, RuntimeStatus::stopped},
      {"on-failure, failed: restart", {wanted(kOnFailure)}, {there(kExited, 1)}, {}, {restart}, RuntimeStatus::backoff},
      {"on-unhealthy, failed: restart",
       {wanted(kOnUnhealthy)},
       {there(kExited, 137)},
       {},
       {restart},
       RuntimeStatus::backoff},
      {"on-unhealthy, unhealthy: restart",
       {wanted(kOnUnhealthy)},
       {unhealthy()},
       {},
       {restart},
       RuntimeStatus::unhealthy},
      {"on-failure, unhealthy: stays", {wanted(kOnFailure)}, {unhealthy()}, {}, {}, RuntimeStatus::unhealthy},
      {"always, ended well: restart", {wanted(kAlways)}, {there(kExited, 0)}, {}, {restart}, RuntimeStatus::backoff},
      {"cools off", {wanted()}, {there(kExited, 1, 9)}, {}, {}, RuntimeStatus::backoff},
      {"cooled off", {wanted()}, {there(kExited, 1, 10)}, {}, {restart}, RuntimeStatus::backoff},
      {"third restart waits 40 s", {wanted()}, {there(kExited, 1, 39)}, restarted(2), {}, RuntimeStatus::backoff},
      {"and comes after 40 s", {wanted()}, {there(kExited, 1, 40)}, restarted(2), {restart}, RuntimeStatus::backoff},
      {"on-failure gives up after 20",
       {wanted(kOnFailure)},
       {there(kExited, 1)},
       restarted(20),
       {},
       RuntimeStatus::failed},
      {"always does not", {wanted(kAlways)}, {there(kExited, 1)}, restarted(2000), {restart}, RuntimeStatus::backoff},
      {"the engine lies: cools off from when we saw it",
       {wanted(kOnFailure)},
       {lost()},
       {},
       {},
       RuntimeStatus::backoff},
      {"the engine lies: revive", {wanted(kOnFailure)}, {lost()}, seen_lost(10), {revive}, RuntimeStatus::backoff},
      {"the engine lies, policy never: leave it", {wanted(kNever)}, {lost()}, {}, {}, RuntimeStatus::dead},
      {"the engine lies about a module to stop: remove",
       {wanted(kAlways, DesiredStatus::stopped)},
       {lost()},
       {},
       {remove},
       RuntimeStatus::dead},
      {"ran before the power cut: start whatever its code",
       {wanted(kOnUnhealthy)},
       {from_before_boot(0)},
       {},
       {start},
       RuntimeStatus::stopped},
      {"ran before the power cut, policy never: leave it",
       {wanted(kNever)},
       {from_before_boot(0)},
       {},
       {},
       RuntimeStatus::stopped},
      {"a refused command cools off", {wanted()}, {}, failed_commands(1, 9), {}, RuntimeStatus::failed},
      {"and is tried again", {wanted()}, {}, failed_commands(1, 10), {create}, RuntimeStatus::failed},
      {"later and later", {wanted()}, {}, failed_commands(3, 39), {}, RuntimeStatus::failed},
      {"a clock set back does not block", {wanted()}, {}, failed_commands(9, -1000), {create}, RuntimeStatus::failed},
      {"two containers: the unfit one goes", {wanted()}, {second_container(), there(kRunning)}, {}, {remove}},
  };
  for (const PlanRow& row : rows) {
    SCOPED_TRACE(row.behaviour);
    PlanInput input;
    input.now_us = kNow;
    input.boot_us = kBoot;
    if (!row.desired.empty()) input.desired["m"] = row.desired.front();
    input.actual = row.actual;
    input.history["m"] = row.history;
    input.history = observe(input);
    std::vector<Action> actions;
    for (const Command& command : plan(input)) actions.push_back(command.action);
    EXPECT_EQ(actions, row.expected);
    if (!row.desired.empty()) {
      EXPECT_EQ(name_of(status_of(row.desired.front(), container_of(input, "m"), input.history["m"])),
                name_of(row.status));
    }
  }
}

TEST(Plan, RunsGroupsInOrderWithFetchesAndRemovalsFirst) {
  PlanInput input;
  input.now_us = kNow;
  auto first = wanted();
  first.spec.startup_order = 1;
  auto second = wanted();
  second.spec.startup_order = 2;
  auto to_fetch = without_image();
  to_fetch.spec.startup_order = 3;
  input.desired = {{"b", first}, {"a", second}, {"z", to_fetch}};
  auto dropped = there(kRunning);
  dropped.module = "old";
  dropped.startup_order = 2;
  input.actual = {dropped};
  const std::vector<Command> expected = {
      {fetch, "z", "", 3}, {create, "b", "", 1}, {remove, "old", "c1", 2}, {create, "a", "", 2}};
  EXPECT_EQ(plan(input), expected);
}

TEST(Plan, HigherGroupsWaitForTheFirstFetchOfALowerOneUnlessItFails) {
  PlanInput input;
  input.now_us = kNow;
  auto low = without_image();
  low.spec.startup_order = 1;
  auto high = wanted();
  high.spec.startup_order = 2;
  input.desired = {{"low", low}, {"high", high}};
  EXPECT_EQ(plan(input), (std::vector<Command>{{fetch, "low", "", 1}}));
  input.history["low"] = failed_commands(1, 1);
  EXPECT_EQ(plan(input), (std::vector<Command>{{create, "high", "", 2}}));
}

TEST(Observe, ClearsCountersAfterTenHealthyMinutes) {
  PlanInput input;
  input.now_us = kNow;
  input.desired["m"] = wanted();
  auto actual = there(kRunning);
  input.history["m"] = restarted(7);
  actual.container.started_us = kNow - 599 * kSecond;
  input.actual = {actual};
  EXPECT_EQ(observe(input).at("m").restart_count, 7U);
  input.actual.front().container.started_us = kNow - 600 * kSecond;
  EXPECT_EQ(observe(input).at("m").restart_count, 0U);
}

TEST(Plan, TellsWhenTheFirstRestEnds) {
  PlanInput input;
  input.now_us = kNow;
  input.boot_us = kBoot;
  std::optional<std::int64_t> rest_us;
  input.desired["m"] = wanted();
  input.actual = {there(kRunning)};
  EXPECT_TRUE(plan(input, &rest_us).empty());
  EXPECT_FALSE(rest_us) << "nobody rests";
  input.actual = {there(kExited, 1, 7)};
  input.history["m"].last_exit_us = kNow - 7 * kSecond;
  EXPECT_TRUE(plan(input, &rest_us).empty());
  EXPECT_EQ(rest_us, 3 * kSecond);
  input.desired["n"] = wanted();
  input.history["n"] = failed_commands(1, 9);
  EXPECT_TRUE(plan(input, &rest_us).empty());
  EXPECT_EQ(rest_us, 1 * kSecond) << "the first of both";
}

TEST(Observe, ForgetsDroppedModules) {
  PlanInput input;
  input.history["gone"] = restarted(1);
  EXPECT_TRUE(observe(input).empty());
}

TEST(CoolOff, DoublesUpToFiveMinutes) {
  const std::int64_t expected[] = {10, 20, 40, 80, 160, 300, 300};
  for (std::uint32_t i = 0; i < 7; ++i) EXPECT_EQ(cool_off_us(i), expected[i] * kSecond);
  EXPECT_EQ(cool_off_us(4'000'000'000U), 300 * kSecond);
  EXPECT_EQ(cool_off_us(0, {kSecond, 5 * kSecond}), kSecond);
  EXPECT_EQ(cool_off_us(3, {kSecond, 5 * kSecond}), 5 * kSecond);
}

}  // namespace
}  // namespace verge::agent
