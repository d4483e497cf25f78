// SPDX-License-Identifier: Apache-2.0
//
// From the configuration that an application gives to the one that the library works with.
#ifndef NSP_CONFIG_CONFIG_H
#define NSP_CONFIG_CONFIG_H

#include <nanospan/config.h>

// Makes the library's own configuration: complete, every member in range, texts that have a default set, sizes rounded as
// <nanospan/config.h> says, batch_bytes those of all exporters of a list together; names of choices (exporter, protocol, compression) spelled as in the table. It points to
// nothing of the caller's but custom_exporter's functions, log and log_context. given NULL: from the environment alone.
// NSP_ERR_CONFIG names the member in nsp_error_detail; *out is then unchanged. NSP_ERR_NO_MEMORY.
nsp_status nsp__config_resolve(nsp_config *out, const nsp_config *given);

// Frees what nsp__config_resolve allocated, and zeroes the struct. A zeroed one is fine.
void nsp__config_free(nsp_config *config);

// Is the configured text a list of several?
bool nsp__config_exporter_listed(const nsp_config *config);

// How many exporters share a batch.
size_t nsp__config_exporter_count(const nsp_config *config);

#endif
