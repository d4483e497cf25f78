// SPDX-License-Identifier: Apache-2.0
//
// nanospan-link.o, which is linked into whatever is linked with libnanospan. Programs call libnanospan-core, and few
// name anything of the exporters; so a linker that is told --as-needed, which is the default of some distributions,
// would leave libnanospan out, and one that takes objects from archives would not take the exporters.
#include "core/config/exporter_set.h"

#if defined __has_attribute
#if __has_attribute(retain)
__attribute__((retain)) // with --gc-sections
#endif
#endif
__attribute__((used)) static const nsp__exporter_set *(*const exporters)(void) = nsp__exporters_here;
