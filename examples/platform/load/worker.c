// SPDX-License-Identifier: Apache-2.0
#include "platform/load/worker.h"

#include <curl/curl.h>
#include <jansson.h>
#include <nanospan/curl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { RECEIVED_MAX = 128 * 1024 };

struct received {
    size_t length;
    char text[RECEIVED_MAX];
};

uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool answers_add(struct answers *list, size_t *count, const struct answers *what)
{
    for (size_t i = 0; i < *count; i++) {
        if (list[i].scenario == what->scenario && list[i].status == what->status &&
            strcmp(list[i].result, what->result) == 0) {
            list[i].count += what->count;
            return true;
        }
    }
    if (*count == ANSWERS_MAX)
        return false;
    list[(*count)++] = *what;
    return true;
}

static size_t collect(char *data, size_t size, size_t count, void *context)
{
    struct received *received = context;
    size *= count;
    if (received->length + size > sizeof received->text)
        return 0;
    memcpy(received->text + received->length, data, size);
    received->length += size;
    return size;
}

// The backend's word for the result of the request: the member "error", or the word for a success of this
// scenario.
static void read_result(const struct received *received, const struct scenario *scenario, struct answers *out)
{
    json_t *body = json_loadb(received->text, received->length, 0, NULL);
    const char *error = json_string_value(json_object_get(body, "error"));
    const char *result = error != NULL ? error : scenario->body != NULL ? "executed" : "ok";
    snprintf(out->result, sizeof out->result, "%s", json_is_object(body) ? result : "no_json");
    json_decref(body);
}

static void ask(struct worker *worker, CURL *easy, struct curl_slist *headers, struct received *received,
                struct answers *out)
{
    const struct scenario *scenario = &scenarios[out->scenario];
    char url[512], body[BODY_SIZE];
    snprintf(url, sizeof url, "%s%s", worker->load->url, scenario->path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    if (scenario->body != NULL) {
        scenario_body(scenario, &worker->random, body);
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    received->length = 0;
    if (scenario->body == NULL)
        headers = NULL;
    CURLcode code;
    if (worker->load->traced) {
        code = nsp_curl_perform(easy, nsp_intern(scenario->name, strlen(scenario->name)), headers);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
        code = curl_easy_perform(easy);
    }
    if (code == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        out->status = (unsigned)status;
        read_result(received, scenario, out);
    } else {
        snprintf(out->result, sizeof out->result, "%s",
                 code == CURLE_OPERATION_TIMEDOUT ? "timeout" : "connection_failed");
    }
}

// Waits until request `number` is due; *due receives that time. False: the load ends before that.
static bool wait_until_due(const struct load *load, uint64_t number, uint64_t *due)
{
    uint64_t now = clock_now_ns();
    *due = load->rate > 0 ? load->start_ns + (uint64_t)((double)number * 1e9 / load->rate) : now;
    if (*due >= load->end_ns)
        return false;
    if (*due > now) {
        struct timespec at = {.tv_sec = (time_t)(*due / 1000000000), .tv_nsec = (long)(*due % 1000000000)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
            continue;
    }
    return !__atomic_load_n(&load->stop, __ATOMIC_RELAXED);
}

void *worker_run(void *context)
{
    struct worker *worker = context;
    struct load *load = worker->load;
    struct received received;
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)load->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &received);
    while (easy != NULL && headers != NULL) {
        uint64_t due, number = __atomic_fetch_add(&load->next, 1, __ATOMIC_RELAXED);
        if (number >= load->requests || !wait_until_due(load, number, &due))
            break;
        struct answers answer = {.scenario = scenario_draw(&load->mix, &worker->random), .count = 1};
        ask(worker, easy, headers, &received, &answer);
        histogram_record(&worker->latency[scenarios[answer.scenario].kind], (clock_now_ns() - due) / 1000);
        if (!answers_add(worker->answers, &worker->answer_count, &answer))
            worker->overflowed++;
        __atomic_fetch_add(&worker->answered, 1, __ATOMIC_RELAXED);
    }
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    return NULL;
}
