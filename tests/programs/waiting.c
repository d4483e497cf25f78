// SPDX-License-Identifier: Apache-2.0
//
// An engine whose orders wait: traces of a root and a child that sleeps, one after another, until its standard input
// ends. Then it ends in order. Says when it is ready.
#include <nanospan/nanospan.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static bool told_to_end(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

int main(void)
{
    if (nsp_init(NULL) != NSP_OK || nsp_thread_attach(NULL) != NSP_OK)
        return 1;
    puts("ready");
    fflush(stdout);
    while (!told_to_end()) {
        nsp_span *order = nsp_span_begin(NSP_NAME("order"));
        nsp_span *wait = nsp_span_begin(NSP_NAME("wait"));
        nanosleep(&(struct timespec){0, 3000000}, NULL);
        nsp_span_end(wait);
        nsp_span_end(order);
    }
    return nsp_shutdown(UINT64_C(10000000000)) != NSP_OK;
}
