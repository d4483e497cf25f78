// SPDX-License-Identifier: Apache-2.0
//
// From the configuration that an application supplies to the one that the library uses.
#ifndef NSP_CONFIG_CONFIG_H
#define NSP_CONFIG_CONFIG_H

#include <nanospan/config.h>

// Makes the library's own configuration. It is complete, every member is in range, and texts that have a
// default are set. Sizes are rounded as <nanospan/config.h> says; batch_bytes covers all exporters of a list
// together; names of choices (exporter, protocol, compression) are spelled as in the table. It points to
// nothing of the caller's except custom_exporter's functions, log and log_context. If given is NULL, the
// environment alone is used. NSP_ERR_CONFIG names the member in nsp_error_detail and leaves *out unchanged.
// NSP_ERR_NO_MEMORY.
nsp_status nsp__config_resolve(nsp_config *out, const nsp_config *given);

// Frees what nsp__config_resolve allocated, and zeroes the struct. A zeroed struct is allowed.
void nsp__config_free(nsp_config *config);

// True if the configured text is a list of several exporters.
bool nsp__config_exporter_listed(const nsp_config *config);

// The number of exporters that share a batch.
size_t nsp__config_exporter_count(const nsp_config *config);

#endif
