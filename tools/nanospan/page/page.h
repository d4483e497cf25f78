// SPDX-License-Identifier: Apache-2.0
//
// The page of traces: a template, which the build puts together from page/web, and what differs from page to page.
#ifndef NANOSPAN_PAGE_PAGE_H
#define NANOSPAN_PAGE_PAGE_H

#include "support/output_file.h"

enum { PAGE_NONCE_SIZE = 33 };

// A new one for each page that is written or served. Returns false after printing an error.
bool page_nonce(char nonce[PAGE_NONCE_SIZE]);

// The content security policy of a page that is a file, or of the live page, which may fetch from its own server.
void page_policy(text *out, const char *nonce, bool live);

// Writes a page that contains the pack.
void page_write(output_file *out, const char *nonce, slice title, slice pack);

// Adds the live page, which fetches what it shows.
void page_live(text *out, const char *nonce, slice title);

#endif
