// embedded_files.h -- the page's files inside the program; the source is generated from web/ at build time.
#pragma once

#include <string_view>
#include <vector>

#include "hub/hub.h"

std::vector<verge::hub::WebFile> embedded_files();
