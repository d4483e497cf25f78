// SPDX-License-Identifier: Apache-2.0
#include "pack.h"

#include "pack_content.h"
#include "support/units.h"
#include <libdeflate.h>
#include <stdlib.h>

enum { LEVEL = 6, MOST_FILES = 1 << 16 };

static void free_content(pack *p)
{
    void *arrays[] = {p->traces, p->firsts,    p->indices, p->spans, p->orphans, p->pauses,
                      p->places, p->resources, p->events,  p->links, p->dropped, p->values};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
    interning_free(&p->strings);
    interning_free(&p->shapes);
    text_free(&p->scratch);
}

// Whether one of the bounds that are known beforehand is exceeded.
static bool too_many(const pack_content *content, text *problem)
{
    char count[UNITS_SIZE], most[UNITS_SIZE];
    uint64_t spans = 0;
    for (size_t i = 0; i < content->trace_count; i++)
        spans += content->traces[i]->count;
    units_count(count, spans > PACK_MOST_SPANS ? spans : content->file_count);
    units_count(most, spans > PACK_MOST_SPANS ? PACK_MOST_SPANS : MOST_FILES);
    if (spans > PACK_MOST_SPANS || content->file_count > MOST_FILES)
        text_format(problem, "a page holds at most %s %s, and these are %s", most,
                    spans > PACK_MOST_SPANS ? "spans" : "files", count);
    return problem->length != 0;
}

static void say_too_much(text *problem)
{
    char items[UNITS_SIZE], bytes[UNITS_SIZE];
    units_count(items, PACK_MOST_ITEMS);
    units_bytes(bytes, PACK_MOST_TEXT);
    text_format(
        problem,
        "a page holds at most %s attributes, events and links, and %s of texts, and these traces have more",
        items, bytes);
}

static bool compress(const text *whole, text *out, text *problem)
{
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(LEVEL);
    size_t length = 0;
    if (compressor != NULL) {
        const size_t room = libdeflate_gzip_compress_bound(compressor, whole->length);
        length = libdeflate_gzip_compress(compressor, whole->data, whole->length, text_room(out, room), room);
        out->length += length;
        libdeflate_free_compressor(compressor);
    }
    if (length == 0)
        text_put(problem, "the traces could not be compressed");
    return length != 0;
}

bool pack_traces(const pack_content *content, text *out, text *problem)
{
    if (too_many(content, problem))
        return false;
    pack p = {.content = content};
    text whole = {0};
    pack_string(&p, (slice){"", 0});
    interning_add(&p.shapes, (slice){"", 0}, NULL);
    pack_spans(&p);
    bool sound = pack_details(&p);
    if (sound && p.too_much) {
        say_too_much(problem);
        sound = false;
    }
    if (sound) {
        pack_arrange(&p);
        pack_columns(&p, &whole);
    }
    free_content(&p);
    sound = sound && compress(&whole, out, problem);
    text_free(&whole);
    return sound;
}
