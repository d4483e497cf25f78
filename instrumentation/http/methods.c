// SPDX-License-Identifier: Apache-2.0
#include "http/methods.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define STANDARD "GET,HEAD,POST,PUT,DELETE,PATCH,OPTIONS,CONNECT,TRACE"

enum { TEXT_MAX = 256, ORIGINAL_MAX = 32 };

static nsp__method methods[NSP__METHODS_MAX + 1];
static unsigned count;
static char texts[TEXT_MAX];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void add(unsigned index, bool known, const char *text, const char *word)
{
    methods[index] = (nsp__method){index, known, text, word, nsp_intern(word, strlen(word))};
}

static void read_list(void)
{
    // White space separates too, because a template may leave it there.
    static const char separators[] = ", \t\r\n";
    // In a program with more rights than whoever started it, the variable is not trusted.
    const char *list = secure_getenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS");
    if (list == NULL || list[0] == '\0' || strlen(list) >= TEXT_MAX)
        list = STANDARD;
    strncpy(texts, list, TEXT_MAX - 1);
    char *rest = NULL;
    for (char *text = strtok_r(texts, separators, &rest); text != NULL && count < NSP__METHODS_MAX;
         text = strtok_r(NULL, separators, &rest)) {
        add(count, true, text, text);
        count++;
    }
    add(NSP__METHODS_MAX, false, "_OTHER", "HTTP");
}

const nsp__method *nsp__method_of(const char *text)
{
    pthread_once(&once, read_list);
    for (unsigned i = 0; text != NULL && i < count; i++)
        if (strcmp(text, methods[i].text) == 0)
            return &methods[i];
    return &methods[NSP__METHODS_MAX];
}

const nsp__method *nsp__method_at(unsigned index)
{
    pthread_once(&once, read_list);
    return index <= NSP__METHODS_MAX && methods[index].text != NULL ? &methods[index] : NULL;
}

void nsp__method_set(nsp_span *span, const nsp__method *method, const char *original)
{
    nsp_span_set_str(span, NSP_KEY("http.request.method"), method->text);
    if (!method->known && original != NULL)
        nsp_span_set_strn(span, NSP_KEY("http.request.method_original"), original,
                          strnlen(original, ORIGINAL_MAX));
}
