// Time spent inside operators, kept by each thread for itself.
#ifndef FOVEA_TALLY_H_
#define FOVEA_TALLY_H_

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace fovea {

/// Time spent in one operator by one thread.
struct Spent {
  int64_t nanoseconds = 0, calls = 0;
};

constexpr size_t kMostOperators = 64;
inline thread_local Spent tally[kMostOperators];

/// Adds to the calling thread's tally from its construction to its end.
class Timed {
 public:
  explicit Timed(size_t index) noexcept : spent_(tally[index]), start_(Clock::now()) {}
  ~Timed() {
    spent_.nanoseconds += std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count();
    ++spent_.calls;
  }

 private:
  using Clock = std::chrono::steady_clock;

  Spent& spent_;
  Clock::time_point start_;
};

}  // namespace fovea

#endif  // FOVEA_TALLY_H_
