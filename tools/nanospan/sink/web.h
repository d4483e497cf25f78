// SPDX-License-Identifier: Apache-2.0
//
// The live page: a listener of its own, which only answers GET and HEAD.
//
//     /               the page, the same for everybody; it has no data
//     /api/state      the figures, as JSON
//     /api/trace?id=  a trace, packed as the page of traces has them (page/pack.h); 204 if it is not held
#ifndef NANOSPAN_SINK_WEB_H
#define NANOSPAN_SINK_WEB_H

#include "live.h"

typedef struct web_options {
    const char *address; // NULL: no live page
    const char *port_file, *url_file;
    uint64_t memory; // bytes of spans to hold
} web_options;

typedef struct sink_web sink_web;

// Takes the listening socket. Returns NULL after printing an error.
sink_web *web_start(const web_options *options, int listener, unsigned port, sink_live *live);

// The address to open, with the token.
const char *web_url(const sink_web *web);

// Can other machines reach it?
bool web_is_exposed(const sink_web *web);

// Writes the files that tell other programs where it is. False after printing an error.
bool web_write_files(const sink_web *web);

void web_stop(sink_web *web);

#endif
