// SPDX-License-Identifier: Apache-2.0
//
// Where do the spans go? For commands that send spans as an engine does: an option, or the environment's variables.
#ifndef NANOSPAN_SUPPORT_DESTINATION_H
#define NANOSPAN_SUPPORT_DESTINATION_H

#include <nanospan/config.h>

// endpoint: given as an option, which wins over the environment; or NULL. It has to stay as long as the
// configuration. False: the configuration names neither an exporter nor an endpoint, and the caller says so.
bool destination_choose(nsp_config *config, const char *endpoint);

// False after a message that says what to do: the endpoint cannot be used.
bool destination_check(const nsp_config *config);

// As the user has named it; a name of the exporter where an endpoint holds a password. Belongs to the configuration.
const char *destination_name(const nsp_config *config);

// The environment variable that was meant to say where spans go but cannot be used, with what it is set to; NULL: there
// is none. Valid until the next call.
const char *destination_unusable(void);

// The endpoint alone, for a command to be typed; NULL: there is none, or it may hold a password. Its text belongs to
// the configuration.
const char *destination_endpoint(const nsp_config *config);

#endif
