// base/bytes.h -- encodings of bytes as text, identifiers, and small work on texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verge {

std::string to_base64(std::string_view bytes);
/// Standard alphabet, padding required, nothing else allowed. Errors: invalid_argument.
Result<std::string> from_base64(std::string_view text);
std::string to_hex(std::string_view bytes);
Result<std::string> from_hex(std::string_view text);

/// Percent-encodes all but A-Z a-z 0-9 - _ . ~ with upper-case digits (RFC 3986).
std::string percent_encode(std::string_view text);
/// Decodes %XX; never treats + as a blank. Errors: invalid_argument on a broken escape.
Result<std::string> percent_decode(std::string_view text);

/// `count` bytes from the kernel's generator.
std::string random_bytes(std::size_t count);
/// A random (version 4) UUID text.
std::string new_uuid();

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), hardware-assisted where there is SSE 4.2.
/// `seed` is the result for the bytes before these: crc32c(b, crc32c(a)) is that of a and b together.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);
/// The same without special instructions: what machines without them run, and the tests' reference.
std::uint32_t crc32c_plain(std::string_view bytes, std::uint32_t seed = 0);

/// Without the `characters` at both ends; a view into `text`.
std::string_view trimmed(std::string_view text, std::string_view characters = " \t\r\n");

/// As text or a quoted attribute of XML and HTML: < > & and " become entities.
std::string escape_markup(std::string_view text);

/// Compares without telling by its duration where the texts differ.
bool equal_constant_time(std::string_view a, std::string_view b);

}  // namespace verge
