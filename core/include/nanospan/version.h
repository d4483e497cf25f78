// SPDX-License-Identifier: Apache-2.0
//
// The version of these headers, following semantic versioning. The build reads it from this file, and no
// other file repeats it.
#ifndef NANOSPAN_VERSION_H
#define NANOSPAN_VERSION_H

#define NSP_VERSION_MAJOR 0
#define NSP_VERSION_MINOR 1
#define NSP_VERSION_PATCH 0

// The version of the binary interface, which is also the shared library's SOVERSION. It changes when a layout
// that inline code relies on changes.
#define NSP_ABI_VERSION 4

#define NSP__VERSION_TEXT_OF(major, minor, patch) #major "." #minor "." #patch
#define NSP__VERSION_TEXT(major, minor, patch) NSP__VERSION_TEXT_OF(major, minor, patch)

// "MAJOR.MINOR.PATCH", as a string literal.
#define NSP_VERSION NSP__VERSION_TEXT(NSP_VERSION_MAJOR, NSP_VERSION_MINOR, NSP_VERSION_PATCH)

#endif
