// SPDX-License-Identifier: Apache-2.0
//
// The version of these headers, by semantic versioning. The build reads it from here; it is written nowhere else.
#ifndef NANOSPAN_VERSION_H
#define NANOSPAN_VERSION_H

#define NSP_VERSION_MAJOR 0
#define NSP_VERSION_MINOR 1
#define NSP_VERSION_PATCH 0

// The number of the binary interface, the shared library's SOVERSION: it changes when an inline layout changes.
#define NSP_ABI_VERSION 1

#define NSP__VERSION_TEXT_OF(major, minor, patch) #major "." #minor "." #patch
#define NSP__VERSION_TEXT(major, minor, patch) NSP__VERSION_TEXT_OF(major, minor, patch)

// "MAJOR.MINOR.PATCH", a string literal.
#define NSP_VERSION NSP__VERSION_TEXT(NSP_VERSION_MAJOR, NSP_VERSION_MINOR, NSP_VERSION_PATCH)

#endif
