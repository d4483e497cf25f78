// SPDX-License-Identifier: Apache-2.0
#include "common/header_list.h"

#include <strings.h>

#include "common/percent.h"

// Names of headers that we set, or that belong to the protocol. Everything that begins with grpc- belongs to
// gRPC.
static const char *const reserved[] = {
    "content-type", "content-encoding", "content-length", "transfer-encoding", "te",
    "trailer",      "connection",       "keep-alive",     "proxy-connection",  "upgrade",
    "host",         "expect",           "http2-settings", "accept-encoding"};

static bool is_token(nsp__slice name)
{
    static const char allowed[] =
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (size_t i = 0; i < name.length; i++)
        if (name.text[i] == 0 || strchr(allowed, name.text[i]) == NULL)
            return false;
    return name.length != 0;
}

static bool is_reserved(nsp__slice name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strlen(reserved[i]) == name.length && strncasecmp(name.text, reserved[i], name.length) == 0)
            return true;
    return name.length >= 5 && strncasecmp(name.text, "grpc-", 5) == 0;
}

bool nsp__header_binary(nsp__slice name)
{
    return name.length > 4 && strncasecmp(name.text + name.length - 4, "-bin", 4) == 0;
}

typedef struct contents {
    bool control; // above all a line break, which could begin a header or a request that we did not write
    bool beyond_ascii;
} contents;

static contents contents_of(nsp__slice value)
{
    contents found = {false, false};
    for (size_t at = 0; at < value.length;) {
        uint8_t byte;
        at += nsp__percent_byte(value.text + at, value.length - at, &byte);
        found.control |= (byte < ' ' && byte != '\t') || byte == 0x7f;
        found.beyond_ascii |= byte > 0x7f || byte == '\t';
    }
    return found;
}

static const char control_character[] = "its value contains a control character";

const char *nsp__header_shapeless(const nsp__key_value *pair, const void *unused)
{
    (void)unused;
    const char *malformed = nsp__pair_malformed(pair);
    if (malformed != NULL)
        return malformed;
    return contents_of(pair->value).control && !nsp__header_binary(pair->key) ? control_character : NULL;
}

const char *nsp__header_fault(const nsp__key_value *pair, const void *use)
{
    nsp__header_use to = *(const nsp__header_use *)use;
    const char *malformed = nsp__pair_malformed(pair);
    if (malformed != NULL)
        return malformed;
    if (!is_token(pair->key))
        return "its name contains a character that HTTP does not allow";
    if (is_reserved(pair->key))
        return "its name is one that the exporter sets itself";
    contents value = contents_of(pair->value);
    bool binary = nsp__header_binary(pair->key);
    if (value.control && !(binary && to != NSP__HEADER_HTTP))
        return control_character;
    if (value.beyond_ascii && !binary && to == NSP__HEADER_GRPC)
        return "its value contains more than printable ASCII, which gRPC allows only if the name ends in "
               "-bin";
    return NULL;
}

const char *nsp__header_late_fault(const nsp__key_value *pair, const void *use)
{
    static const nsp__header_use either = NSP__HEADER_EITHER;
    return nsp__header_fault(pair, &either) == NULL ? nsp__header_fault(pair, use) : NULL;
}
