// SPDX-License-Identifier: Apache-2.0
//
// The resource: the attributes of this process, which are sent once rather than with each span.
#ifndef NSP_CONFIG_RESOURCE_H
#define NSP_CONFIG_RESOURCE_H

#include <nanospan/config.h>
#include <nanospan/span.h>

#include "common/pairs.h"

// Texts of the keys and values, and the types of the values (in the form of nsp_exporter_context), by index.
// No key occurs twice. They are in the order in which they are sent: our own first, then the others of
// resource_attributes. Zeroed memory is an empty resource.
typedef struct nsp__resource {
    const char **keys;
    const char **values;
    nsp_type *types;
    size_t count;
} nsp__resource;

// Builds the resource of this process from a resolved configuration, and keeps no pointers to it.
// resource_attributes overrides values that we determine ourselves (such as host.name), and also
// service.name, service.version and deployment.environment.name where those have their defaults, but not
// telemetry.sdk. If a key is given twice, the last value counts. service.instance.id is random and the same
// for each resource of this process; a forked child gets another. Only one call at a time. NSP_ERR_NO_MEMORY.
nsp_status nsp__resource_build(nsp__resource *out, const nsp_config *config);

// An nsp__pair_fault: says why an entry of resource_attributes cannot be an attribute.
const char *nsp__resource_fault(const nsp__key_value *pair, const void *unused);

void nsp__resource_free(nsp__resource *resource);

#endif
