// SPDX-License-Identifier: Apache-2.0
#include "common/endpoint.h"

#include <arpa/inet.h>
#include <strings.h>
#include <sys/un.h>

#include "common/pairs.h"
#include "common/percent.h"

enum { LABEL_MAX = 63, NAME_MAX_BYTES = 253, SOCKET_MAX = sizeof((struct sockaddr_un *)0)->sun_path - 1 };
_Static_assert(SOCKET_MAX == 107, "the message below says how long a socket's name may be");

static nsp__slice from(nsp__slice slice, size_t start)
{
    return (nsp__slice){slice.text + start, slice.length - start};
}

static bool begins(nsp__slice slice, const char *start)
{
    return slice.length >= strlen(start) && strncasecmp(slice.text, start, strlen(start)) == 0;
}

static bool one_of(char c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (unsigned char)c > 0x7f;
}

static const char *read_socket(nsp__endpoint *out, nsp__slice name)
{
    if (out->form == NSP__ENDPOINT_UNIX && begins(name, "//")) {
        // An authority, which can only be empty, and an absolute path.
        name = from(name, 2);
        if (name.length == 0 || *name.text != '/')
            return "unix:// must be followed by an absolute path, as in unix:///run/otlp.sock";
    }
    if (name.length == 0 || (name.length == 1 && *name.text == '/'))
        return "it names no socket";
    if (name.length > SOCKET_MAX)
        return "its socket name is longer than the limit of 107 bytes";
    out->socket = name;
    return NULL;
}

// The address of an IPv6 host without its brackets, perhaps with a zone after "%" (or "%25", as in a URL).
static const char *check_ipv6(nsp__slice address)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    const char *percent = (const char *)memchr(address.text, '%', address.length);
    size_t length = percent != NULL ? (size_t)(percent - address.text) : address.length;
    static const char not_an_address[] = "the text in brackets is not an IPv6 address";
    if (length >= sizeof text)
        return not_an_address;
    memcpy(text, address.text, length);
    text[length] = 0;
    if (inet_pton(AF_INET6, text, &parsed) != 1)
        return not_an_address;
    nsp__slice zone = from(address, length);
    if (percent == NULL)
        return NULL;
    zone = from(zone, begins(zone, "%25") && zone.length > 3 ? 3 : 1);
    for (size_t i = 0; i < zone.length; i++)
        if (!is_letter(zone.text[i]) && !is_digit(zone.text[i]) && !one_of(zone.text[i], "-._~"))
            return "the zone of its IPv6 address contains a character that is not allowed there";
    return zone.length != 0 ? NULL : "the zone of its IPv6 address is empty";
}

static const char *check_ipv4(nsp__slice host)
{
    char text[64];
    struct in_addr parsed;
    if (host.length >= sizeof text || memchr(host.text, '.', host.length) == NULL)
        return "its host is a number, which is neither a name nor an address";
    memcpy(text, host.text, host.length);
    text[host.length] = 0;
    return inet_aton(text, &parsed) != 0 ? NULL : "its host is neither an IPv4 address nor a name";
}

static const char *check_label(nsp__slice label)
{
    if (label.length == 0)
        return "its host name has an empty part before or after a dot";
    if (label.length > LABEL_MAX)
        return "its host name has a part that is longer than 63 characters";
    if (label.text[0] == '-' || label.text[label.length - 1] == '-')
        return "its host name has a part that begins or ends with a hyphen";
    for (size_t i = 0; i < label.length; i++)
        if (!is_letter(label.text[i]) && !is_digit(label.text[i]) && !one_of(label.text[i], "-_"))
            return "its host name contains a character that is not allowed in host names";
    return NULL;
}

static const char *check_host(nsp__slice host)
{
    if (host.length == 0)
        return "it names no host";
    if (*host.text == '[')
        return check_ipv6((nsp__slice){host.text + 1, host.length - 2});
    size_t numeric = 0;
    while (numeric < host.length && (is_digit(host.text[numeric]) || host.text[numeric] == '.'))
        numeric++;
    if (numeric == host.length && is_digit(*host.text))
        return check_ipv4(host);
    nsp__slice rest = host, label;
    if (rest.length > 1 && rest.text[rest.length - 1] == '.')
        rest.length--; // the dot of the root
    if (rest.length > NAME_MAX_BYTES)
        return "its host name is longer than 253 characters";
    const char *fault = NULL;
    while (fault == NULL && nsp__slice_split(&rest, '.', &label))
        fault = check_label(label);
    return fault;
}

static const char *read_port(nsp__endpoint *out, nsp__slice port)
{
    static const char fault[] = "its port is not a number from 1 to 65535";
    if (port.length == 0)
        return out->form == NSP__ENDPOINT_NO_SCHEME ? fault : NULL;
    for (size_t i = 0; i < port.length; i++) {
        if (!is_digit(port.text[i]))
            return fault;
        out->port = out->port * 10 + (unsigned)(port.text[i] - '0');
        if (out->port > 65535)
            return fault;
    }
    return out->port != 0 ? NULL : fault;
}

static const char *read_authority(nsp__endpoint *out, nsp__slice authority)
{
    const char *at =
        authority.length != 0 ? (const char *)memrchr(authority.text, '@', authority.length) : NULL;
    if (at != NULL) {
        size_t length = (size_t)(at - authority.text);
        out->user = (nsp__slice){authority.text, length};
        // HTTP's Basic scheme forbids them, and libcurl would refuse every request that has a zero in it.
        if (nsp__percent_hides_control(out->user.text, length))
            return "the user name or password before its @ contains a control character";
        authority = from(authority, length + 1);
    }
    size_t end = 0;
    if (authority.length != 0 && *authority.text == '[') {
        const char *bracket = (const char *)memchr(authority.text, ']', authority.length);
        if (bracket == NULL)
            return "its IPv6 address has no closing bracket";
        end = (size_t)(bracket + 1 - authority.text);
    } else {
        while (end < authority.length && authority.text[end] != ':')
            end++;
    }
    out->host = (nsp__slice){authority.text, end};
    if (end < authority.length && *authority.text != '[' &&
        memchr(authority.text + end + 1, ':', authority.length - end - 1) != NULL)
        return "it contains two colons (an IPv6 address must be in brackets, as in [::1]:4317)";
    const char *fault = check_host(out->host);
    if (fault != NULL || end == authority.length)
        return fault;
    return authority.text[end] == ':' ? read_port(out, from(authority, end + 1))
                                      : "something other than a port follows its IPv6 address";
}

// The length of "scheme://", or 0. If the text has no scheme, a later "://" may be part of its query.
static size_t scheme_length(nsp__slice text)
{
    size_t length = 0;
    while (length < text.length &&
           ((is_letter(text.text[length]) && (unsigned char)text.text[length] < 0x80) ||
            is_digit(text.text[length]) || one_of(text.text[length], "+-.")))
        length++;
    return length != 0 && begins(from(text, length), "://") ? length + 3 : 0;
}

static const char *read_url(nsp__endpoint *out, nsp__slice text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.text[i] == ' ')
            return "it contains a blank";
    size_t scheme = scheme_length(text);
    if (scheme != 0 && begins(text, "http://"))
        out->form = NSP__ENDPOINT_HTTP;
    else if (scheme != 0 && begins(text, "https://"))
        out->form = NSP__ENDPOINT_HTTPS;
    else if (scheme != 0)
        return "only http, https and unix are supported";
    nsp__slice rest = from(text, scheme);
    nsp__slice fragmentless = rest;
    nsp__slice_split(&rest, '#', &fragmentless); // a fragment is never sent
    size_t authority = 0;
    while (authority < fragmentless.length && !one_of(fragmentless.text[authority], "/?"))
        authority++;
    rest = from(fragmentless, authority);
    const char *mark = rest.length != 0 ? (const char *)memchr(rest.text, '?', rest.length) : NULL;
    size_t path = mark != NULL ? (size_t)(mark - rest.text) : rest.length;
    if (path != 0)
        out->path = (nsp__slice){rest.text, path};
    if (mark != NULL)
        out->query = from(rest, path + 1);
    return read_authority(out, (nsp__slice){fragmentless.text, authority});
}

const char *nsp__endpoint_read(nsp__endpoint *out, const char *text)
{
    nsp__slice rest = nsp__slice_unquote(nsp__slice_of(text));
    *out = (nsp__endpoint){.form = NSP__ENDPOINT_NO_SCHEME};
    if (rest.length == 0)
        return "it is empty";
    for (size_t i = 0; i < rest.length; i++)
        if ((unsigned char)rest.text[i] < ' ' || rest.text[i] == 0x7f)
            return "it contains a line break or another control character";
    if (begins(rest, "unix-abstract:")) {
        out->form = NSP__ENDPOINT_UNIX_ABSTRACT;
        return read_socket(out, from(rest, strlen("unix-abstract:")));
    }
    if (begins(rest, "unix:")) {
        out->form = NSP__ENDPOINT_UNIX;
        return read_socket(out, from(rest, strlen("unix:")));
    }
    return read_url(out, rest);
}

bool nsp__endpoint_is_whole(const nsp__endpoint *endpoint)
{
    static const char end[] = "/v1/traces";
    size_t length = endpoint->path.length;
    while (length != 0 && endpoint->path.text[length - 1] == '/')
        length--;
    return length >= strlen(end) && memcmp(endpoint->path.text + length - strlen(end), end, strlen(end)) == 0;
}
