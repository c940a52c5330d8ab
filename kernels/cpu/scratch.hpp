// SPDX-License-Identifier: MIT
// Working memory that outlives a call: fresh pages would cost more than the arithmetic done in them.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace gsv {

// memset and memcpy of floats that take null pointers where there is nothing to do
inline void clear(float* p, size_t count) {
  if (count) std::memset(p, 0, count * sizeof(float));
}
inline void copy_floats(float* to, const float* from, size_t count) {
  if (count) std::memcpy(to, from, count * sizeof(float));
}

// Uninitialised, 64-byte aligned, grows and never shrinks.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(data_); }

  T* resize(size_t count) {
    if (count > capacity_) {
      if (count > SIZE_MAX / 2 / sizeof(T)) throw std::bad_alloc();
      std::free(data_);
      capacity_ = 0;
      const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
      data_ = static_cast<T*>(std::aligned_alloc(64, bytes));
      if (!data_) throw std::bad_alloc();
      capacity_ = count;
    }
    return data_;
  }
  T* data() const { return data_; }
  size_t bytes() const { return capacity_ * sizeof(T); }

 private:
  T* data_ = nullptr;
  size_t capacity_ = 0;
};

// Lends out one of a few kept W; two calls at the same time get two of them. W has `size_t bytes() const`.
template <class W>
class Lease {
 public:
  Lease() {
    std::lock_guard<std::mutex> lock(mutex());
    if (kept().empty()) {
      item_ = std::make_unique<W>();
    } else {
      item_ = std::move(kept().back());
      kept().pop_back();
    }
  }
  ~Lease() {
    std::lock_guard<std::mutex> lock(mutex());
    if (kept().size() < 4 && item_->bytes() <= kKeepBytes) kept().push_back(std::move(item_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  W* operator->() const { return item_.get(); }
  W& operator*() const { return *item_; }

 private:
  static constexpr size_t kKeepBytes = size_t(96) << 20;
  static std::mutex& mutex() {
    static std::mutex* m = new std::mutex;
    return *m;
  }
  static std::vector<std::unique_ptr<W>>& kept() {
    static auto* k = new std::vector<std::unique_ptr<W>>;
    return *k;
  }
  std::unique_ptr<W> item_;
};

}  // namespace gsv
