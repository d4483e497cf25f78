// SPDX-License-Identifier: Apache-2.0
//
// `nanospan version`.
#include "command.h"
#include <argp.h>
#include <jansson.h>
#include <libdeflate.h>
#include <microhttpd.h>
#include <nanospan/version.h>
#include <stdio.h>

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static error_t option(int key, char *given, struct argp_state *state)
{
    (void)given;
    if (key == ARGP_KEY_ARG)
        argp_error(state, "version takes no arguments");
    return ARGP_ERR_UNKNOWN;
}

int command_version(int argc, char **argv)
{
    static const struct argp parser = {
        .parser = option,
        .doc = "Prints the version of nanospan, the number of its binary interface, and the compiler and "
               "libraries "
               "that the command was built with.",
    };
    argp_parse(&parser, argc, argv, 0, NULL, NULL);
    printf("nanospan %s\n", NSP_VERSION);
    printf("binary interface %d\n", NSP_ABI_VERSION);
    printf("built with %s, libmicrohttpd %s, jansson %s, libdeflate %s\n", COMPILER, MHD_get_version(),
           JANSSON_VERSION, LIBDEFLATE_VERSION_STRING);
    return fflush(stdout) ? EXIT_PROBLEM : EXIT_GOOD;
}
