// SPDX-License-Identifier: Apache-2.0
//
// The code of the hot path lies together. After a quiet spell, what the first span costs is the number of
// pages that it touches, and these functions fit into one: linkers put sections of this name side by side.
// attribute.c, which comes first among them, lets them begin on a page (tests/gates/touched.sh counts).
#ifndef NSP_BASE_HOT_H
#define NSP_BASE_HOT_H

#define NSP__HOT_SECTION ".text.hot.nanospan"
#define NSP__HOT __attribute__((section(NSP__HOT_SECTION)))

#endif
