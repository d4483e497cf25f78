// SPDX-License-Identifier: Apache-2.0
//
// The options of MHD_start_daemon as an array, without the two callbacks that this library sets itself; those
// are kept apart.
#ifndef NSP_INSTRUMENTATION_MICROHTTPD_OPTIONS_H
#define NSP_INSTRUMENTATION_MICROHTTPD_OPTIONS_H

#include <stdarg.h>

#include <microhttpd.h>
#include <nanospan/base.h>

typedef void *(*nsp__mhd_uri_log)(void *context, const char *uri, struct MHD_Connection *connection);

typedef struct nsp__mhd_options {
    struct MHD_OptionItem *items; // ended by MHD_OPTION_END; from malloc
    size_t count, room;
    MHD_RequestCompletedCallback completed; // the application's; NULL if it has none
    void *completed_context;
    nsp__mhd_uri_log uri_log;
    void *uri_log_context;
} nsp__mhd_options;

// Reads the options up to MHD_OPTION_END, including arrays of options. False with errno EINVAL if the
// arguments of an option are not known here, or with ENOMEM. Must be released in either case.
bool nsp__mhd_options_read(nsp__mhd_options *out, va_list options);

void nsp__mhd_options_release(nsp__mhd_options *options);

#endif
