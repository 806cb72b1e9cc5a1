#include "base/loop.h"

#include <boost/asio/post.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <pthread.h>
#include <vector>

#include "base/loop_impl.h"

namespace verge {
namespace {

using std::chrono::steady_clock;

/// Marks the thread that runs the loop for as long as it does.
class RunningOn {
 public:
  explicit RunningOn(std::atomic<std::thread::id>& place) : place_(place) { place_ = std::this_thread::get_id(); }
  ~RunningOn() { place_ = std::thread::id(); }
  RunningOn(const RunningOn&) = delete;
  RunningOn& operator=(const RunningOn&) = delete;

 private:
  std::atomic<std::thread::id>& place_;
};

}  // namespace

void Loop::Impl::arm(TimerId id) {
  timers.at(id)->timer.async_wait([this, id](const boost::system::error_code& error) {
    if (!error) fire(id);
  });
}

void Loop::Impl::fire(TimerId id) {
  const auto found = timers.find(id);
  if (found == timers.end()) return;  // cancelled after it had expired
  if (found->second->period.count() == 0) {
    const auto work = std::move(found->second->work);
    timers.erase(found);
    work();
    return;
  }
  const auto work = found->second->work;  // a copy: the work may cancel itself
  work();
  const auto again = timers.find(id);
  if (again == timers.end()) return;
  Timer& timer = *again->second;
  const auto next = timer.timer.expiry() + timer.period;
  timer.timer.expires_at(next > steady_clock::now() ? next : steady_clock::now() + timer.period);
  arm(id);
}

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() = default;

void Loop::run() {
  const RunningOn mark(impl_->thread);
  impl_->io.restart();
  impl_->io.run();
}

void Loop::run_for(std::chrono::milliseconds duration) {
  const RunningOn mark(impl_->thread);
  impl_->io.restart();
  impl_->io.run_for(duration);
}

void Loop::stop() {
  // Posted, so that a stop() before run() is not forgotten by restart().
  post([this] { impl_->io.stop(); });
}

void Loop::post(std::function<void()> work) {
  if (impl_ == nullptr || impl_->is_ending) return;
  boost::asio::post(impl_->io, std::move(work));
}

bool Loop::is_loop_thread() const { return impl_->thread.load() == std::this_thread::get_id(); }

Loop::TimerId Loop::after(std::chrono::milliseconds delay, std::function<void()> work) {
  if (impl_ == nullptr || impl_->is_ending) return 0;
  const TimerId id = ++impl_->last_timer;
  boost::asio::steady_timer timer(impl_->io, delay);
  impl_->timers.emplace(id, std::make_unique<Impl::Timer>(Impl::Timer{std::move(timer), std::move(work)}));
  impl_->arm(id);
  return id;
}

Loop::TimerId Loop::every(std::chrono::milliseconds period, std::function<void()> work) {
  VERGE_ASSERT(period.count() > 0);
  const TimerId id = after(period, std::move(work));
  if (id != 0) impl_->timers.at(id)->period = period;
  return id;
}

void Loop::cancel(TimerId id) {
  if (impl_ == nullptr || impl_->is_ending) return;
  const auto found = impl_->timers.find(id);
  if (found == impl_->timers.end()) return;
  // Destroyed only after it left the map: what the work holds may cancel timers of its own.
  const auto timer = std::move(found->second);
  impl_->timers.erase(found);
}

void Loop::on_signal(std::function<void(int signal)> work) {
  impl_->on_signal = std::move(work);
  if (impl_->signals != nullptr) return;
  impl_->signals = std::make_unique<boost::asio::signal_set>(impl_->io, SIGINT, SIGTERM, SIGHUP);
  struct Waiter {
    static void wait(Impl& impl) {
      impl.signals->async_wait([&impl](const boost::system::error_code& error, int signal) {
        if (error) return;
        if (impl.on_signal) impl.on_signal(signal);
        wait(impl);
      });
    }
  };
  Waiter::wait(*impl_);
}

struct Workers::Impl {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> jobs;
  std::size_t jobs_max = 0;
  bool is_ending = false;
  std::vector<std::thread> threads;

  void work() {
    ::pthread_setname_np(::pthread_self(), "worker");
    for (;;) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return is_ending || !jobs.empty(); });
      if (is_ending) return;
      const auto job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      job();
    }
  }
};

Workers::Workers(std::size_t threads, std::size_t jobs_max) : impl_(std::make_unique<Impl>()) {
  impl_->jobs_max = jobs_max;
  for (std::size_t i = 0; i < threads; ++i) impl_->threads.emplace_back([impl = impl_.get()] { impl->work(); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->is_ending = true;
  }
  impl_->changed.notify_all();
  for (auto& thread : impl_->threads) thread.join();
}

Status Workers::submit(std::function<void()> job) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->jobs.size() >= impl_->jobs_max) {
      return Error{ErrorCode::limit, "queue a job: " + std::to_string(impl_->jobs_max) + " wait already; try later"};
    }
    impl_->jobs.push_back(std::move(job));
  }
  impl_->changed.notify_one();
  return Done{};
}

}  // namespace verge
