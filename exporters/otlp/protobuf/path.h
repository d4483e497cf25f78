// SPDX-License-Identifier: Apache-2.0
//
// Paths whole: what all paths of a declaration have in common is encoded once, and copied for each.
#ifndef NSP_OTLP_PROTOBUF_PATH_H
#define NSP_OTLP_PROTOBUF_PATH_H

#include <nanospan/path.h>

enum { NSP__OTLP_PATHS = NSP_PATHS_MAX }; // as many declarations as there can be

typedef struct nsp__otlp_path nsp__otlp_path;

#endif
