// SPDX-License-Identifier: Apache-2.0
//
// Several exporters as one. Each takes the same spans in its own encoding, and has its own part of a batch.
//
// A batch counts as exported once every exporter has accepted it, and as rejected if one of them has refused
// it for good. Only the exporters that have to retry are tried again. They share the bytes of a batch, so
// nsp__config_resolve multiplies the size of batches by the number of exporters.
#ifndef NSP_CONFIG_EXPORTER_LIST_H
#define NSP_CONFIG_EXPORTER_LIST_H

#include <nanospan/exporter.h>

// Creates the exporters named in context->config->exporter, a list separated by commas. One that cannot be
// created is left out, with a line in the log; if none can be, create fails.
extern const nsp_exporter nsp__exporter_list;

// What the configuration names: its custom exporter, a list, or one exporter; `otherwise` if it names none.
// NULL: there is none of that name.
const nsp_exporter *nsp__exporter_configured(const nsp_config *config, const char *otherwise);

// False: a list, created from this configuration, that has left out an exporter.
bool nsp__exporter_complete(const nsp_exporter *exporter, const void *state, const nsp_config *config);

// Answers that end the turns: the others do not get the batch.
typedef enum nsp__refusal {
    NSP__REFUSAL_NONE,
    NSP__REFUSAL_REJECTED,
    NSP__REFUSAL_UNCONFIRMED // or rejected
} nsp__refusal;

// For spans that somebody else may send again later, once more to each exporter. A list then asks those first that
// have a receiver, which may be away, and each of the others once the one before it is done with the batch. So
// nobody has it while it waits for a receiver. If one refuses it, and none has taken it, that is the result. To be
// called before the first send. Nothing happens if the exporter is no list.
void nsp__exporter_take_turns(const nsp_exporter *exporter, void *state, nsp__refusal refusal);

// For a batch whose bytes others could change since it was closed, of this exporter and with this capacity: false
// if what send reads there to find its way is not what close wrote. True if the exporter is no list.
bool nsp__exporter_batch_sound(const nsp_exporter *exporter, const void *state, const nsp_batch *batch);

// True if an exporter of a list is done with the batch that was sent last, or with some of its spans, and will not get
// these again if it is sent again before any other. False if the exporter is no list.
bool nsp__exporter_begun(const nsp_exporter *exporter, const void *state);

// A word that becomes 1 when an exporter of a list answers NSP_SEND_UNKNOWN, and 0 with the next batch.
// Atomic. It lives as long as the exporter's state. NULL for an exporter that is no list.
const int *nsp__exporter_doubt(const nsp_exporter *exporter, const void *state);

// Writes where an exporter that was created, or each one of a list, sends spans, for people to read; one
// line, without secrets.
void nsp__exporter_describe(const nsp_exporter *exporter, const void *state, const nsp_config *config,
                            char *text, size_t size);

#endif
