// SPDX-License-Identifier: Apache-2.0
//
// The resource: what is said once about this process, beside its spans.
#ifndef NSP_CONFIG_RESOURCE_H
#define NSP_CONFIG_RESOURCE_H

#include <nanospan/config.h>
#include <nanospan/span.h>

#include "common/pairs.h"

// Key and value texts and the values' types (as nsp_exporter_context has them) by place, no key twice, in the
// order in which they are sent: our own first, then the others of resource_attributes. Zeroed memory is an
// empty one.
typedef struct nsp__resource {
    const char **keys;
    const char **values;
    nsp_type *types;
    size_t count;
} nsp__resource;

// Builds the resource of this process from a resolved configuration, which it does not keep pointers to. What
// resource_attributes says wins over what we find out ourselves (host.name, say) and over service.name,
// service.version and deployment.environment.name where those are at their defaults, not over telemetry.sdk.
// Of a key given twice the last value counts. service.instance.id is random and the same for each resource of
// this process; a forked child has another. Calls one at a time. NSP_ERR_NO_MEMORY.
nsp_status nsp__resource_build(nsp__resource *out, const nsp_config *config);

// An nsp__pair_fault: why an entry of resource_attributes cannot be an attribute.
const char *nsp__resource_fault(const nsp__key_value *pair, const void *unused);

void nsp__resource_free(nsp__resource *resource);

#endif
