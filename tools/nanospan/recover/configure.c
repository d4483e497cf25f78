// SPDX-License-Identifier: Apache-2.0
//
// Where do the spans go?
#include "recover.h"

#include "support/destination.h"
#include <stdio.h>
#include <unistd.h>

// Lines of the library, such as "the receiver does not answer". They come from its sender thread, too. On a
// terminal they take the place of the progress, which is then printed anew.
static void show_line(void *context, nsp_log_level level, const char *line)
{
    (void)level;
    if (*(const bool *)context)
        fputs("\r\033[K", stderr);
    complain("%s", line);
}

const char *recover_target(const recover_options *o, const nsp_config *config)
{
    return o->output != NULL ? o->output : destination_name(config);
}

bool recover_configure(nsp_config *config, const recover_options *o, const part_file *output)
{
    static bool terminal;
    terminal = isatty(STDERR_FILENO);
    nsp_config_init(config);
    config->log = show_line;
    config->log_context = &terminal;
    config->log_level = config->log_level < NSP_LOG_WARN ? config->log_level : NSP_LOG_WARN;
    nsp_log_configure(config->log_level, config->log, config->log_context);
    if (o->output != NULL) {
        config->exporter = "file";
        config->file = output->part;
        return true;
    }
    if (!destination_choose(config, o->endpoint)) {
        complain("where should the spans go? --endpoint http://HOST:4318 sends them to a receiver (or set "
                 "OTLP_ENDPOINT, as for the engine), and --output FILE writes them to a file");
        return false;
    }
    return destination_check(config);
}
