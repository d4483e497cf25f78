// SPDX-License-Identifier: Apache-2.0
#include "http/curl_start.h"

#include <pthread.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode ready;

// Takes the variable's place meanwhile. Only this entry of the environment is exchanged, so whoever reads the
// environment at the same time finds every other variable.
static char stand_in[] = "NSP_STAND_IN=";

static char **find_entry(const char *start)
{
    for (char **entry = environ; entry != NULL && *entry != NULL; ++entry)
        if (strncmp(*entry, start, strlen(start)) == 0)
            return entry;
    return NULL;
}

static void initialise(void)
{
    char **entry = getauxval(AT_SECURE) ? find_entry("SSLKEYLOGFILE=") : NULL;
    char *kept = entry != NULL ? __atomic_exchange_n(entry, stand_in, __ATOMIC_RELAXED) : NULL;
    ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    // The environment may have moved meanwhile, or the variable may have been set again.
    entry = kept != NULL ? find_entry(stand_in) : NULL;
    if (entry != NULL)
        __atomic_store_n(entry, kept, __ATOMIC_RELAXED);
}

CURLcode nsp__curl_start(void)
{
    pthread_once(&once, initialise);
    return ready;
}
