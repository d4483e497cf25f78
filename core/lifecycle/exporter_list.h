// SPDX-License-Identifier: Apache-2.0
//
// Several exporters as one: each takes the same spans, in an encoding of its own, and each its own part of a
// batch.
//
// A batch counts as exported once every exporter has taken it, and as rejected where one has refused it for
// good; as long as one of them has to be tried again only that one is. The bytes of a batch are shared:
// nsp__config_resolve makes batches as much larger as there are exporters.
#ifndef NSP_LIFECYCLE_EXPORTER_LIST_H
#define NSP_LIFECYCLE_EXPORTER_LIST_H

#include <nanospan/exporter.h>

// Makes those of context->config->exporter, a list of names with commas between. One that cannot be made is
// left out, with a line in the log; where none can, create fails.
extern const nsp_exporter nsp__exporter_list;

// One of those that the library brings; NULL for other names, "none" too.
const nsp_exporter *nsp__exporter_named(const char *name, size_t length);

// Where an exporter that was made, or each of a list, puts spans, for people; one line, without secrets.
void nsp__exporter_describe(const nsp_exporter *exporter, const void *state, const nsp_config *config,
                            char *text, size_t size);

#endif
