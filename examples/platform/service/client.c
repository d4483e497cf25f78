// SPDX-License-Identifier: Apache-2.0
#include "platform/service/client.h"

#include <curl/curl.h>
#include <nanospan/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HANDLES_MAX = 64, ANSWER_MAX = 256 * 1024, URL_SIZE = 1024 };

struct client {
    char *service, *url;
    unsigned timeout_ms;
    struct curl_slist *json_headers;
    pthread_mutex_t lock;
    unsigned count;
    CURL *idle[HANDLES_MAX]; // protected by the lock; each has an open connection; last in, first out
};

struct bytes {
    char *data;
    size_t length;
};

struct client *client_new(const char *service, const char *url, unsigned timeout_ms)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    pthread_mutex_init(&client->lock, NULL);
    client->timeout_ms = timeout_ms;
    client->service = strdup(service);
    client->url = strdup(url);
    client->json_headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (client->service == NULL || client->url == NULL || client->json_headers == NULL) {
        client_free(client);
        return NULL;
    }
    while (*client->url && client->url[strlen(client->url) - 1] == '/')
        client->url[strlen(client->url) - 1] = 0;
    return client;
}

void client_free(struct client *client)
{
    if (client == NULL)
        return;
    while (client->count)
        curl_easy_cleanup(client->idle[--client->count]);
    curl_slist_free_all(client->json_headers);
    pthread_mutex_destroy(&client->lock);
    free(client->url);
    free(client->service);
    free(client);
}

static CURL *take(struct client *client)
{
    CURL *easy = NULL;
    pthread_mutex_lock(&client->lock);
    if (client->count)
        easy = client->idle[--client->count];
    pthread_mutex_unlock(&client->lock);
    if (easy != NULL)
        curl_easy_reset(easy); // resets only the options; connections stay open
    return easy != NULL ? easy : curl_easy_init();
}

static void give(struct client *client, CURL *easy)
{
    pthread_mutex_lock(&client->lock);
    if (client->count < HANDLES_MAX) {
        client->idle[client->count++] = easy;
        easy = NULL;
    }
    pthread_mutex_unlock(&client->lock);
    curl_easy_cleanup(easy); // accepts NULL
}

static size_t collect(char *data, size_t size, size_t count, void *context)
{
    struct bytes *bytes = context;
    size *= count;
    char *longer = bytes->length + size > ANSWER_MAX ? NULL : realloc(bytes->data, bytes->length + size + 1);
    if (longer == NULL)
        return 0; // makes curl abort the transfer
    memcpy(longer + bytes->length, data, size);
    bytes->data = longer;
    bytes->length += size;
    return size;
}

static void prepare(struct client *client, CURL *easy, const char *method, const char *path,
                    struct bytes *received)
{
    char url[URL_SIZE];
    snprintf(url, sizeof url, "%s%s", client->url, path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)client->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, received);
}

// Sets the status, and one line about the problem if the call did not succeed.
static void judge(const struct client *client, CURL *easy, CURLcode code, struct answer *out)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    out->timed_out = code == CURLE_OPERATION_TIMEDOUT;
    out->status = code == CURLE_OK ? (unsigned)status : 0;
    if (out->timed_out)
        snprintf(out->problem, sizeof out->problem, "%s did not answer within %u ms", client->service,
                 client->timeout_ms);
    else if (code != CURLE_OK)
        snprintf(out->problem, sizeof out->problem, "%s: %s", client->service, curl_easy_strerror(code));
    else if (status / 100 != 2)
        snprintf(out->problem, sizeof out->problem, "%s", answer_text(out, "message", "no reason given"));
    else if (!json_is_object(out->body))
        snprintf(out->problem, sizeof out->problem, "%s: the answer is not a JSON object", client->service);
}

bool client_call(struct client *client, nsp_name span, const char *method, const char *path, json_t *body,
                 struct answer *out)
{
    struct bytes received = {0};
    *out = (struct answer){0};
    CURL *easy = take(client);
    char *sent = body != NULL ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    bool good = easy != NULL && (sent != NULL || body == NULL);
    json_decref(body);
    if (!good) {
        snprintf(out->problem, sizeof out->problem, "out of memory");
        curl_easy_cleanup(easy);
        free(sent);
        return false;
    }
    prepare(client, easy, method, path, &received);
    if (sent != NULL)
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, sent);
    CURLcode code = nsp_curl_perform(easy, span, sent != NULL ? client->json_headers : NULL);
    if (code == CURLE_OK && received.data != NULL)
        out->body = json_loadb(received.data, received.length, 0, NULL);
    judge(client, easy, code, out);
    give(client, easy);
    free(received.data);
    free(sent);
    return !*out->problem;
}

void answer_free(struct answer *answer)
{
    json_decref(answer->body);
    answer->body = NULL;
}

const char *answer_text(const struct answer *answer, const char *member, const char *fallback)
{
    const char *text = json_string_value(json_object_get(answer->body, member));
    return text != NULL ? text : fallback;
}

double answer_number(const struct answer *answer, const char *member, double fallback)
{
    json_t *number = json_object_get(answer->body, member);
    return json_is_number(number) ? json_number_value(number) : fallback;
}

bool client_healthy(struct client *client)
{
    struct bytes received = {0};
    long status = 0;
    CURL *easy = take(client);
    if (easy == NULL)
        return false;
    prepare(client, easy, "GET", "/health", &received);
    if (curl_easy_perform(easy) == CURLE_OK)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    give(client, easy);
    free(received.data);
    return status == 200;
}

const char *client_service(const struct client *client)
{
    return client->service;
}
