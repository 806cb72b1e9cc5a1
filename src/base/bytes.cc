#include "base/bytes.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/random.h>

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#endif

namespace verge {
namespace {

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kInvalid = 0xFF;

constexpr std::array<std::uint8_t, 256> base64_values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(kInvalid);
  for (std::size_t i = 0; i < kBase64.size(); ++i) {
    values[static_cast<unsigned char>(kBase64[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}
constexpr auto kBase64Values = base64_values();

std::uint32_t byte_at(std::string_view bytes, std::size_t index) { return static_cast<unsigned char>(bytes[index]); }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The byte of two hex digits, or -1.
int hex_byte(std::string_view digits) {
  const int high = hex_value(digits[0]);
  const int low = hex_value(digits[1]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool is_unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || c == '~';
}

/// Tables for eight bytes at a time: row k holds the remainder of a byte followed by k zero bytes.
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables crc32c_tables() {
  constexpr std::uint32_t kReversedPolynomial = 0x82F63B78U;
  Tables tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? kReversedPolynomial : 0U);
    tables[0][i] = crc;
  }
  for (std::size_t row = 1; row < 8; ++row) {
    for (std::size_t i = 0; i < 256; ++i) {
      const std::uint32_t before = tables[row - 1][i];
      tables[row][i] = (before >> 8U) ^ tables[0][before & 0xFFU];
    }
  }
  return tables;
}
constexpr Tables kCrc32c = crc32c_tables();

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  std::size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const std::uint32_t group = byte_at(bytes, i) << 16U | byte_at(bytes, i + 1) << 8U | byte_at(bytes, i + 2);
    for (const unsigned shift : {18U, 12U, 6U, 0U}) text += kBase64[group >> shift & 63U];
  }
  const std::size_t left = bytes.size() - i;
  if (left == 0) return text;
  const std::uint32_t group = byte_at(bytes, i) << 16U | (left == 2 ? byte_at(bytes, i + 1) << 8U : 0U);
  text += kBase64[group >> 18U & 63U];
  text += kBase64[group >> 12U & 63U];
  text += left == 2 ? kBase64[group >> 6U & 63U] : '=';
  text += '=';
  return text;
}

Result<std::string> from_base64(std::string_view text) {
  const Error error{ErrorCode::invalid_argument, fmt::format("decode base64 of {} characters: {}", text.size(),
                                                             "it is not base64 with padding (RFC 4648)")};
  if (text.size() % 4 != 0) return error;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const std::size_t pad = i + 4 == text.size() ? padding : 0;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const std::uint32_t value = k >= 4 - pad ? 0 : kBase64Values[byte_at(text, i + k)];
      if (value == kInvalid) return error;
      group = group << 6U | value;
    }
    // The unused bits must be zero, or two texts would mean the same bytes.
    if ((group & ((1U << (8 * pad)) - 1U)) != 0) return error;
    bytes += static_cast<char>(group >> 16U);
    if (pad < 2) bytes += static_cast<char>(group >> 8U & 0xFFU);
    if (pad < 1) bytes += static_cast<char>(group & 0xFFU);
  }
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    text += kDigits[byte_at(bytes, i) >> 4U];
    text += kDigits[byte_at(bytes, i) & 15U];
  }
  return text;
}

Result<std::string> from_hex(std::string_view text) {
  const Error error{ErrorCode::invalid_argument,
                    fmt::format("decode hex of {} characters: expected pairs of 0-9 a-f", text.size())};
  if (text.size() % 2 != 0) return error;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int value = hex_byte(text.substr(i, 2));
    if (value < 0) return error;
    bytes += static_cast<char>(value);
  }
  return bytes;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_unreserved(text[i])) {
      encoded += text[i];
    } else {
      encoded += '%';
      encoded += kDigits[byte_at(text, i) >> 4U];
      encoded += kDigits[byte_at(text, i) & 15U];
    }
  }
  return encoded;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const int value = i + 2 < text.size() ? hex_byte(text.substr(i + 1, 2)) : -1;
    if (value < 0) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("decode \"{:.80}\": the % at byte {} is not followed by two hex digits", text, i)};
    }
    decoded += static_cast<char>(value);
    i += 2;
  }
  return decoded;
}

std::string random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  std::size_t filled = 0;
  while (filled < count) {
    const auto got = ::getrandom(bytes.data() + filled, count - filled, 0);
    // The kernel refuses only for bad arguments; going on with weak numbers is no choice.
    VERGE_ASSERT(got > 0 || errno == EINTR);
    if (got > 0) filled += static_cast<std::size_t>(got);
  }
  return bytes;
}

std::string new_uuid() {
  std::string bytes = random_bytes(16);
  bytes[6] = static_cast<char>((byte_at(bytes, 6) & 0x0FU) | 0x40U);  // version 4
  bytes[8] = static_cast<char>((byte_at(bytes, 8) & 0x3FU) | 0x80U);  // RFC 4122 variant
  std::string text = to_hex(bytes);
  for (const std::size_t at : {8U, 13U, 18U, 23U}) text.insert(at, 1, '-');
  return text;
}

std::uint32_t crc32c_plain(std::string_view bytes, std::uint32_t seed) {
  std::uint32_t crc = ~seed;
  while (bytes.size() >= 8) {
    std::array<std::uint32_t, 8> b{};
    for (std::size_t i = 0; i < 8; ++i) b[i] = byte_at(bytes, i);
    const std::uint32_t low = crc ^ (b[0] | b[1] << 8U | b[2] << 16U | b[3] << 24U);
    crc = kCrc32c[7][low & 0xFFU] ^ kCrc32c[6][low >> 8U & 0xFFU] ^ kCrc32c[5][low >> 16U & 0xFFU] ^
          kCrc32c[4][low >> 24U] ^ kCrc32c[3][b[4]] ^ kCrc32c[2][b[5]] ^ kCrc32c[1][b[6]] ^ kCrc32c[0][b[7]];
    bytes.remove_prefix(8);
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) crc = (crc >> 8U) ^ kCrc32c[0][(crc ^ byte_at(bytes, i)) & 0xFFU];
  return ~crc;
}

std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed) {
#if defined(__SSE4_2__)
  std::uint64_t crc = ~seed;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    crc = _mm_crc32_u64(crc, word);
  }
  auto short_crc = static_cast<std::uint32_t>(crc);
  for (const char c : bytes) short_crc = _mm_crc32_u8(short_crc, static_cast<unsigned char>(c));
  return ~short_crc;
#else
  return crc32c_plain(bytes, seed);
#endif
}

std::string_view trimmed(std::string_view text, std::string_view characters) {
  const auto first = text.find_first_not_of(characters);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(characters) - first + 1);
}

std::string escape_markup(std::string_view text) {
  std::string safe;
  for (const char letter : text) {
    switch (letter) {
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '&':
        safe += "&amp;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += letter;
    }
  }
  return safe;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  std::uint32_t difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= byte_at(a, i) ^ byte_at(b, i);
  return difference == 0;
}

}  // namespace verge
