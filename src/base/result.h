// base/result.h -- a value, or the reason there is none.
//
// C++20 has no std::expected; this is the small part of it that we use, so that a later move
// to the standard type is mechanical.
// Threads: a Result is a plain value; share it as you would share an int.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/assert.h"

namespace verge {

/// What the caller can do about it, not where it came from.
enum class ErrorCode : std::uint8_t {
  invalid_argument,  ///< The caller must change the request.
  not_found,
  conflict,     ///< The stored version moved on, or the thing exists already: read again and retry.
  unavailable,  ///< Retry later, with back-off.
  timeout,
  limit,     ///< A stated bound was reached (size, count, disk, rate).
  corrupt,   ///< Bytes from disk or network failed a check.
  internal,  ///< A bug of ours.
};

/// The code's name as it appears in logs and JSON: "invalid_argument".
std::string_view name_of(ErrorCode code);
/// The HTTP status a server answers with: 400 404 409 503 504 413 422 500.
int http_status_of(ErrorCode code);
/// The exit code of a command: 2 3 4 5 6 7 8 70 in the order above.
int exit_code_of(ErrorCode code);

struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::internal;
  /// A sentence for the person who has to fix it: what was attempted, which value, the next step.
  std::string message;

  /// Says what was being done: Error{..., "no such file"}.within("load model a.onnx").
  Error within(std::string_view doing) && {
    message.insert(0, std::string(doing) + ": ");
    return std::move(*this);
  }
  Error within(std::string_view doing) const& { return Error(*this).within(doing); }
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& value() {
    VERGE_ASSERT(state_.index() == 0);
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    VERGE_ASSERT(state_.index() == 0);
    return *std::get_if<0>(&state_);
  }
  Error& error() {
    VERGE_ASSERT(state_.index() == 1);
    return *std::get_if<1>(&state_);
  }
  const Error& error() const {
    VERGE_ASSERT(state_.index() == 1);
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

struct Done {};
using Status = Result<Done>;

}  // namespace verge

#define VERGE_JOIN_(a, b) a##b
#define VERGE_JOIN(a, b) VERGE_JOIN_(a, b)
/// VERGE_CHECK(store.flush()); -- goes on, or returns flush's error.
#define VERGE_CHECK(expression) \
  if (auto verge_status = (expression); !verge_status) return std::move(verge_status).error()
/// VERGE_TRY(auto model, load(path)); -- declares `model`, or returns load's error.
#define VERGE_TRY(declaration, expression) VERGE_TRY_(VERGE_JOIN(verge_try_, __LINE__), declaration, expression)
#define VERGE_TRY_(temporary, declaration, expression) \
  auto temporary = (expression);                       \
  if (!temporary) return std::move(temporary).error(); \
  declaration = *std::move(temporary)
