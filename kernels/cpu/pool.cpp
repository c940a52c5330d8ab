// SPDX-License-Identifier: MIT
#include "pool.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#ifndef _WIN32
#include <unistd.h>
#endif

namespace gsv {
namespace {

constexpr int kMaxThreads = 256;
constexpr auto kSpin = std::chrono::microseconds(30);  // longer than the gap between two phases of one kernel

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

struct Job {
  const std::function<void(int64_t, int)>* body;
  int64_t tasks;
  std::atomic<int64_t> next{0};

  void work(int worker) {
    for (int64_t t; (t = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) (*body)(t, worker);
  }
};

class Pool {
 public:
  void run(int threads, Job& job) {
    std::unique_lock<std::mutex> alone(calls_, std::try_to_lock);
    if (!alone.owns_lock()) return job.work(0);
    {
      std::lock_guard<std::mutex> lock(state_);
      for (; started_ < threads - 1; ++started_) std::thread(&Pool::loop, this).detach();
      job_ = &job;
      free_seats_ = threads - 1;
      ticket_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    job.work(0);
    {
      std::lock_guard<std::mutex> lock(state_);
      job_ = nullptr;  // nobody joins from here on
    }
    // On a busy machine the last worker may have lost its core: spinning on would keep it from getting it back.
    for (int spins = 0; running_.load(std::memory_order_acquire); ++spins)
      spins < 256 ? pause_cpu() : std::this_thread::yield();
  }

 private:
  void loop() {
    uint64_t seen = 0;
    for (;;) {
      wait_for_ticket(seen);
      Job* job = nullptr;
      int seat = 0;
      {
        std::lock_guard<std::mutex> lock(state_);
        seen = ticket_.load(std::memory_order_relaxed);
        if (job_ && free_seats_ > 0) {
          job = job_;
          seat = free_seats_--;
          running_.fetch_add(1, std::memory_order_relaxed);
        }
      }
      if (job) {
        job->work(seat);
        running_.fetch_sub(1, std::memory_order_release);
      }
    }
  }

  void wait_for_ticket(uint64_t seen) {
    const auto until = std::chrono::steady_clock::now() + kSpin;
    while (std::chrono::steady_clock::now() < until) {
      if (ticket_.load(std::memory_order_acquire) != seen) return;
      for (int i = 0; i < 16; ++i) pause_cpu();
    }
    std::unique_lock<std::mutex> lock(state_);
    wake_.wait(lock, [&] { return ticket_.load(std::memory_order_relaxed) != seen; });
  }

  std::mutex calls_;  // held by the caller whose job is running
  std::mutex state_;  // guards job_, free_seats_ and changes of ticket_
  std::condition_variable wake_;
  std::atomic<uint64_t> ticket_{0};
  std::atomic<int> running_{0};
  Job* job_ = nullptr;
  int free_seats_ = 0;
  int started_ = 0;
};

// A fork copies the pool without its threads, so the child makes a new one. Pools are never destroyed: their threads
// sleep in them until the process ends.
Pool& pool() {
  static std::mutex guard;
  static Pool* current = nullptr;
  static long owner = -1;
#ifdef _WIN32
  const long self = 0;
#else
  const long self = getpid();
#endif
  std::lock_guard<std::mutex> lock(guard);
  if (owner != self) {
    current = new Pool;
    owner = self;
  }
  return *current;
}

}  // namespace

int thread_count(int asked) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const int wanted = asked > 0 ? asked : cores;
  return wanted < 1 ? 1 : wanted > kMaxThreads ? kMaxThreads : wanted;
}

void parallel_for(int64_t tasks, int threads, const std::function<void(int64_t, int)>& body) {
  Job job;
  job.body = &body;
  job.tasks = tasks;
  if (tasks < threads) threads = static_cast<int>(tasks);
  if (threads <= 1) return job.work(0);
  pool().run(threads, job);
}

}  // namespace gsv
