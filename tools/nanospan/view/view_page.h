// SPDX-License-Identifier: Apache-2.0
//
// The page of the chosen traces, for a browser.
#ifndef NANOSPAN_VIEW_VIEW_PAGE_H
#define NANOSPAN_VIEW_VIEW_PAGE_H

#include "view_files.h"
#include "view_options.h"

// Writes it, and says on standard error what was written. Returns false after printing an error.
bool view_page(const view_options *o, view_files *files, const trace **chosen, size_t count);

#endif
