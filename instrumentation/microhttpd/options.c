// SPDX-License-Identifier: Apache-2.0
#include "microhttpd/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// The types of the arguments that follow an option.
typedef enum form {
    UNKNOWN,
    SIZE,
    UNSIGNED,
    INT,
    POINTER,
    TWO_POINTERS,
    SIZE_AND_POINTER,
    LENGTH_AND_POINTER
} form;

// Indexed by the option's number. Options from 35 on are given as numbers, because the oldest header that
// this is built with does not have them.
static const unsigned char forms[] = {
    [MHD_OPTION_CONNECTION_MEMORY_LIMIT] = SIZE,
    [MHD_OPTION_CONNECTION_LIMIT] = UNSIGNED,
    [MHD_OPTION_CONNECTION_TIMEOUT] = UNSIGNED,
    [MHD_OPTION_NOTIFY_COMPLETED] = TWO_POINTERS,
    [MHD_OPTION_PER_IP_CONNECTION_LIMIT] = UNSIGNED,
    [MHD_OPTION_SOCK_ADDR] = POINTER,
    [MHD_OPTION_URI_LOG_CALLBACK] = TWO_POINTERS,
    [MHD_OPTION_HTTPS_MEM_KEY] = POINTER,
    [MHD_OPTION_HTTPS_MEM_CERT] = POINTER,
    [MHD_OPTION_HTTPS_CRED_TYPE] = INT, // an enum
    [MHD_OPTION_HTTPS_PRIORITIES] = POINTER,
    [MHD_OPTION_LISTEN_SOCKET] = INT,
    [MHD_OPTION_EXTERNAL_LOGGER] = TWO_POINTERS,
    [MHD_OPTION_THREAD_POOL_SIZE] = UNSIGNED,
    [MHD_OPTION_ARRAY] = POINTER,
    [MHD_OPTION_UNESCAPE_CALLBACK] = TWO_POINTERS,
    [MHD_OPTION_DIGEST_AUTH_RANDOM] = SIZE_AND_POINTER,
    [MHD_OPTION_NONCE_NC_SIZE] = UNSIGNED,
    [MHD_OPTION_THREAD_STACK_SIZE] = SIZE,
    [MHD_OPTION_HTTPS_MEM_TRUST] = POINTER,
    [MHD_OPTION_CONNECTION_MEMORY_INCREMENT] = SIZE,
    [MHD_OPTION_HTTPS_CERT_CALLBACK] = POINTER,
    [MHD_OPTION_TCP_FASTOPEN_QUEUE_SIZE] = UNSIGNED,
    [MHD_OPTION_HTTPS_MEM_DHPARAMS] = POINTER,
    [MHD_OPTION_LISTENING_ADDRESS_REUSE] = UNSIGNED,
    [MHD_OPTION_HTTPS_KEY_PASSWORD] = POINTER,
    [MHD_OPTION_NOTIFY_CONNECTION] = TWO_POINTERS,
    [MHD_OPTION_LISTEN_BACKLOG_SIZE] = UNSIGNED,
    [MHD_OPTION_STRICT_FOR_CLIENT] = INT,
    [MHD_OPTION_GNUTLS_PSK_CRED_HANDLER] = TWO_POINTERS,
    [MHD_OPTION_HTTPS_CERT_CALLBACK2] = POINTER,
    [MHD_OPTION_SERVER_INSANITY] = UNSIGNED,
    [MHD_OPTION_SIGPIPE_HANDLED_BY_APP] = INT,
    [MHD_OPTION_TLS_NO_ALPN] = INT,
    [35] = SIZE_AND_POINTER,   // DIGEST_AUTH_RANDOM_COPY
    [36] = UNSIGNED,           // DIGEST_AUTH_NONCE_BIND_TYPE
    [37] = POINTER,            // HTTPS_PRIORITIES_APPEND
    [38] = INT,                // CLIENT_DISCIPLINE_LVL
    [39] = INT,                // APP_FD_SETSIZE
    [40] = LENGTH_AND_POINTER, // SOCK_ADDR_LEN
    [41] = UNSIGNED,           // DIGEST_AUTH_DEFAULT_NONCE_TIMEOUT
    [42] = UNSIGNED,           // DIGEST_AUTH_DEFAULT_MAX_NC
};

static bool add(nsp__mhd_options *out, struct MHD_OptionItem item)
{
    if (out->count == out->room) {
        size_t room = out->room == 0 ? 16 : 2 * out->room;
        struct MHD_OptionItem *items = realloc(out->items, room * sizeof items[0]);
        if (items == NULL)
            return false;
        out->items = items;
        out->room = room;
    }
    out->items[out->count++] = item;
    return true;
}

// Converts a function that was passed as an object pointer; both have the same representation.
#define TO_FUNCTION(function, pointer) memcpy(&(function), &(pointer), sizeof(function))

// Options with two pointers have the first pointer in `value`.
static bool take(nsp__mhd_options *out, struct MHD_OptionItem item)
{
    switch (item.option) {
    case MHD_OPTION_NOTIFY_COMPLETED:
        TO_FUNCTION(out->completed, item.value);
        out->completed_context = item.ptr_value;
        return true;
    case MHD_OPTION_URI_LOG_CALLBACK:
        TO_FUNCTION(out->uri_log, item.value);
        out->uri_log_context = item.ptr_value;
        return true;
    case MHD_OPTION_ARRAY: {
        const struct MHD_OptionItem *items = item.ptr_value;
        for (; items != NULL && items->option != MHD_OPTION_END; items++)
            if (!take(out, *items))
                return false;
        return true;
    }
    default: return add(out, item);
    }
}

bool nsp__mhd_options_read(nsp__mhd_options *out, va_list options)
{
    memset(out, 0, sizeof *out);
    for (;;) {
        struct MHD_OptionItem item = {(enum MHD_OPTION)va_arg(options, int), 0, NULL};
        if (item.option == MHD_OPTION_END)
            return add(out, item);
        unsigned number = (unsigned)item.option;
        switch (number < sizeof forms ? (form)forms[number] : UNKNOWN) {
        case UNKNOWN: errno = EINVAL; return false;
        case SIZE: item.value = (intptr_t)va_arg(options, size_t); break;
        case UNSIGNED: item.value = (intptr_t)va_arg(options, unsigned int); break;
        case INT: item.value = va_arg(options, int); break;
        case POINTER: item.ptr_value = va_arg(options, void *); break;
        case TWO_POINTERS:
            item.value = (intptr_t)va_arg(options, void *);
            item.ptr_value = va_arg(options, void *);
            break;
        case SIZE_AND_POINTER:
            item.value = (intptr_t)va_arg(options, size_t);
            item.ptr_value = va_arg(options, void *);
            break;
        case LENGTH_AND_POINTER: // a socklen_t
            item.value = (intptr_t)va_arg(options, unsigned int);
            item.ptr_value = va_arg(options, void *);
            break;
        }
        if (!take(out, item))
            return false;
    }
}

void nsp__mhd_options_release(nsp__mhd_options *options)
{
    free(options->items);
    options->items = NULL;
}
