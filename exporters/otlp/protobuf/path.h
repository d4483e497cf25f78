// SPDX-License-Identifier: Apache-2.0
//
// Paths whole: what all paths of a declaration have in common is encoded once, and copied for each.
#ifndef NSP_OTLP_PROTOBUF_PATH_H
#define NSP_OTLP_PROTOBUF_PATH_H

enum { NSP__OTLP_PATHS = 64 }; // as many declarations as there can be

typedef struct nsp__otlp_path nsp__otlp_path;

#endif
