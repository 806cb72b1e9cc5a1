// embedded_files.h -- the review page's files inside the program; the source is generated from web/ at build time.
#pragma once

#include <vector>

#include "cli/review_server.h"

std::vector<verge::cli::PageFile> embedded_files();
