// base/unjudged_tls.h -- TLS to a peer whose certificate the caller judges by itself, or not at all.
//
// Threads: pure function.
#pragma once

#include "base/net.h"

namespace verge {

/// A client that accepts any certificate, of any name and date, and older ciphers of TLS 1.2, as cheap devices have
/// them. Compare Connection::peer().certificate_thumbprint with the one that is expected before anything is sent; who
/// does not, has encryption against listeners only: anybody in between can answer.
Result<TlsPointer> make_unjudged_tls();

}  // namespace verge
