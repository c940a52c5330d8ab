// SPDX-License-Identifier: MIT
// A small pool of threads that stays alive between calls: waking it costs microseconds, starting threads does not fit
// into a kernel of a millisecond.
#pragma once
#include <cstdint>
#include <functional>

namespace gsv {

// Number of threads that a call asking for `asked` gets: all cores for 0.
int thread_count(int asked);

// Runs body(task, worker) for every task in [0, tasks) on up to `threads` threads, the caller among them;
// worker is in [0, threads). The body must not throw. A call made while another thread uses the pool runs serially.
void parallel_for(int64_t tasks, int threads, const std::function<void(int64_t task, int worker)>& body);

}  // namespace gsv
