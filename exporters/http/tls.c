// SPDX-License-Identifier: Apache-2.0
#include "http/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/descriptor.h"

static bool is_set(const char *text)
{
    return text != NULL && *text;
}

bool nsp__tls_files_any(const nsp__tls_files *files)
{
    return is_set(files->certificate) || is_set(files->client_certificate) || is_set(files->client_key);
}

CURLcode nsp__tls_set(CURL *easy, const nsp__tls_files *files)
{
    CURLcode code = curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    // Every handshake is a complete one, with the files as they are at that time. One that resumes a session
    // would check no certificate, and libcurl would use the authorities that it once read for a day.
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L); // not every TLS library knows it
#endif
    if (code == CURLE_OK && is_set(files->certificate))
        code = curl_easy_setopt(easy, CURLOPT_CAINFO, files->certificate);
    // These authorities replace the system's; they are not added to them.
    if (code == CURLE_OK && is_set(files->certificate))
        code = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    if (code == CURLE_OK && is_set(files->client_certificate))
        code = curl_easy_setopt(easy, CURLOPT_SSLCERT, files->client_certificate);
    if (code == CURLE_OK && is_set(files->client_key))
        code = curl_easy_setopt(easy, CURLOPT_SSLKEY, files->client_key);
    // If no password is set, not even an empty one, the TLS library asks for it on the terminal.
    if (code == CURLE_OK && is_set(files->client_certificate))
        code = curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "");
    return code;
}

static nsp_status check_readable(const char *member, const char *path, char *detail, size_t size)
{
    if (!is_set(path))
        return NSP_OK;
    struct stat status;
    int file = nsp__above_standard(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)), error = 0;
    if (file < 0)
        error = errno;
    else if (fstat(file, &status) != 0)
        error = errno;
    else if (S_ISDIR(status.st_mode))
        error = EISDIR;
    if (file >= 0)
        close(file);
    if (!error)
        return NSP_OK;
    char text[80];
    snprintf(detail, size, "%s \"%.120s\": %s", member, path, strerror_r(error, text, sizeof text));
    return NSP_ERR_CONFIG;
}

// ---- a handshake with an end that never answers ----

// The other end: a Unix socket whose name, of 5 characters, the kernel chooses. -1: failed.
static int listen_somewhere(char name[static 6])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof address.sun_family;
    int listener = nsp__above_standard(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (listener < 0)
        return -1;
    if (bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0) {
        size = sizeof address;
        if (getsockname(listener, (struct sockaddr *)&address, &size) == 0) {
            snprintf(name, 6, "%.5s", address.sun_path + 1);
            return listener;
        }
    }
    close(listener);
    return -1;
}

static bool something_came(int listener, int *connection)
{
    char byte;
    if (*connection < 0)
        *connection = nsp__above_standard(accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    return *connection >= 0 && recv(*connection, &byte, 1, MSG_PEEK) == 1;
}

// The client speaks first, after it has loaded its files; so its first byte shows that they are valid.
static CURLcode begin_handshake(CURLM *multi, CURL *easy, int listener, int *connection)
{
    enum { TURNS = 100, TURN_MS = 10 };
    for (int turn = 0; turn < TURNS; ++turn) {
        int running, left;
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return CURLE_FAILED_INIT;
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)) != NULL;)
            if (message->msg == CURLMSG_DONE && message->easy_handle == easy)
                return message->data.result;
        if (something_came(listener, connection))
            return CURLE_OK;
        curl_multi_poll(multi, NULL, 0, TURN_MS, NULL);
    }
    return CURLE_OK; // it takes long, but no fault was found
}

static CURLcode rehearse(const nsp__tls_files *files, char *error)
{
    char name[6];
    int connection = -1, listener = listen_somewhere(name);
    if (listener < 0)
        return CURLE_COULDNT_CONNECT;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    CURL *easy = curl_easy_init();
    CURLM *multi = curl_multi_init();
    if (easy != NULL && multi != NULL && nsp__tls_set(easy, files) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_URL, "https://localhost/") == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_ABSTRACT_UNIX_SOCKET, name) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error) == CURLE_OK &&
        curl_multi_add_handle(multi, easy) == CURLM_OK) {
        code = begin_handshake(multi, easy, listener, &connection);
        curl_multi_remove_handle(multi, easy);
    }
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    if (connection >= 0)
        close(connection);
    close(listener);
    return code;
}

nsp_status nsp__tls_check(const nsp__tls_files *files, char *detail, size_t size)
{
    if (is_set(files->client_key) && !is_set(files->client_certificate)) {
        snprintf(detail, size, "client_key is set, but client_certificate is not");
        return NSP_ERR_CONFIG;
    }
    nsp_status status = check_readable("certificate", files->certificate, detail, size);
    if (status == NSP_OK)
        status = check_readable("client_certificate", files->client_certificate, detail, size);
    if (status == NSP_OK)
        status = check_readable("client_key", files->client_key, detail, size);
    if (status != NSP_OK || !nsp__tls_files_any(files))
        return status;
    char error[CURL_ERROR_SIZE] = "";
    CURLcode code = rehearse(files, error);
    const char *why = error[0] ? error : curl_easy_strerror(code);
    switch (code) {
    case CURLE_SSL_CACERT_BADFILE:
        snprintf(detail, size, "certificate \"%.120s\" contains no certificate in PEM form",
                 files->certificate);
        return NSP_ERR_CONFIG;
    case CURLE_SSL_CERTPROBLEM:
        snprintf(detail, size,
                 "client_certificate \"%.64s\" and client_key \"%.64s\" are not a matching pair of PEM files "
                 "without a password: %.90s",
                 files->client_certificate,
                 is_set(files->client_key) ? files->client_key : files->client_certificate, why);
        return NSP_ERR_CONFIG;
    case CURLE_OUT_OF_MEMORY: snprintf(detail, size, "TLS: out of memory"); return NSP_ERR_NO_MEMORY;
    default: return NSP_OK; // everything else shows when there is a server to connect to
    }
}
