#include "agent/reconcile/process_watch.h"

#include <array>
#include <cerrno>
#include <map>
#include <mutex>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace verge::agent {
namespace {
constexpr std::size_t kWatchedMax = 1024;
}

struct ProcessWatch::Impl {
  std::function<void(std::int64_t)> ended;
  int epoll = -1;
  int wake = -1;
  std::mutex mutex;
  std::map<std::int64_t, int> descriptors;  // pid -> pidfd
  std::thread thread;

  void run() {
    pthread_setname_np(pthread_self(), "processes");
    while (true) {
      std::array<epoll_event, 16> events{};
      const int count = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
      if (count < 0 && errno != EINTR) return;
      for (int i = 0; i < count; ++i) {
        const auto pid = static_cast<std::int64_t>(events[static_cast<std::size_t>(i)].data.u64);
        if (pid == 0) return;
        if (forget(pid)) ended(pid);
      }
    }
  }

  bool forget(std::int64_t pid) {
    const std::lock_guard lock(mutex);
    const auto found = descriptors.find(pid);
    if (found == descriptors.end()) return false;
    close(found->second);  // Also leaves the epoll set.
    descriptors.erase(found);
    return true;
  }

  /// False when there is no such process any more.
  bool watch(std::int64_t pid) {
    const int descriptor = static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0));
    if (descriptor < 0) return errno != ESRCH;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = static_cast<std::uint64_t>(pid);
    epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
    descriptors[pid] = descriptor;
    return true;
  }
};

ProcessWatch::ProcessWatch(std::function<void(std::int64_t pid)> ended) : impl_(std::make_unique<Impl>()) {
  impl_->ended = std::move(ended);
  impl_->epoll = epoll_create1(EPOLL_CLOEXEC);
  impl_->wake = eventfd(0, EFD_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;  // No process has pid 0.
  epoll_ctl(impl_->epoll, EPOLL_CTL_ADD, impl_->wake, &event);
  impl_->thread = std::thread([this] { impl_->run(); });
}

ProcessWatch::~ProcessWatch() {
  eventfd_write(impl_->wake, 1);
  impl_->thread.join();
  for (const auto& [pid, descriptor] : impl_->descriptors) close(descriptor);
  close(impl_->wake);
  close(impl_->epoll);
}

void ProcessWatch::set(const std::set<std::int64_t>& pids) {
  std::vector<std::int64_t> gone;
  {
    const std::lock_guard lock(impl_->mutex);
    for (auto entry = impl_->descriptors.begin(); entry != impl_->descriptors.end();) {
      if (pids.count(entry->first) != 0) {
        ++entry;
        continue;
      }
      close(entry->second);
      entry = impl_->descriptors.erase(entry);
    }
    for (const auto pid : pids) {
      if (pid <= 0 || impl_->descriptors.count(pid) != 0 || impl_->descriptors.size() >= kWatchedMax) continue;
      if (!impl_->watch(pid)) gone.push_back(pid);
    }
  }
  for (const auto pid : gone) impl_->ended(pid);
}

}  // namespace verge::agent
