// SPDX-License-Identifier: Apache-2.0
#ifndef NANOSPAN_PATH_H
#define NANOSPAN_PATH_H

#include <nanospan/span.h>

enum {
    NSP_PATH_BYTES_MAX = 1024, // of a path's struct
    NSP_PATH_PHASES_MAX = 64,
    NSP_PATH_FIELDS_MAX = 64
};

typedef struct nsp_path_options {
    size_t size;
    nsp_kind kind;
    const nsp_context *parent; // used instead of the current span; an invalid context counts as none
    bool new_root;             // starts a new trace, whatever span is current
    nsp_ticks start;           // 0: now
    const nsp_link *links;
    size_t link_count;
    bool detached; // as nsp_span_begin_detached
    nsp_span_status status;
    const char *status_message; // NULL: none
} nsp_path_options;

#define NSP_PATH_OPTIONS_INIT                                                                                \
    {                                                                                                        \
        sizeof(nsp_path_options), NSP_KIND_INTERNAL, NULL, false, 0, NULL, 0, false, NSP_SPAN_STATUS_UNSET,  \
            NULL                                                                                             \
    }

#ifndef NSP_DISABLE
#include <nanospan/abi/path.h>
#endif

#endif
