// SPDX-License-Identifier: Apache-2.0
//
// Which exporter sends what sessions hold.
#ifndef NSP_OUTSIDE_EXPORTERS_H
#define NSP_OUTSIDE_EXPORTERS_H

#include <nanospan/exporter.h>

// The exporter that a recovery or a drainer sends to: the given one, else what the configuration says, which
// may be a list. NSP_ERR_CONFIG, or NSP_ERR_UNSUPPORTED if there are no exporters, with a detail.
// who: "recovery" ...
nsp_status nsp__exporter_chosen(const nsp_exporter **out, const nsp_exporter *given, const nsp_config *config,
                                const char *who);

// Creates its state. A list has to have all of its exporters: otherwise spans would count as exported that one
// of them did not get, and an encoder would write other parts than the sender reads. On failure there is a
// detail, and nothing is left.
nsp_status nsp__exporter_create(void **state, const nsp_exporter *exporter,
                                const nsp_exporter_context *context);

#endif
