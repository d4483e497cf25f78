// SPDX-License-Identifier: Apache-2.0
//
// A plug-in that is linked with libnanospan, for a program that is not.
#include <nanospan/exporters.h>
#include <nanospan/nanospan.h>

const char *plugin_exporter(void);
nsp_status plugin_init(const nsp_config *config);

const char *plugin_exporter(void)
{
    return nsp_exporter_builtin("file")->name;
}

nsp_status plugin_init(const nsp_config *config)
{
    return nsp_init(config);
}
