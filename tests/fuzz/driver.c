// SPDX-License-Identifier: Apache-2.0
//
// Runs a property over its corpus and over mutations of each input: cut short, bytes replaced, removed or
// doubled, pieces of two inputs joined. The mutations are the same in every run; NSP_FUZZ_RUNS is their
// number (default: the target's fuzz_runs, or 20000).
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>

enum { INPUTS_MAX = 512, LONGEST = 1 << 16 };

static struct {
    char *bytes;
    size_t size;
} inputs[INPUTS_MAX];
static size_t count;
static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below != 0 ? state % below : 0;
}

static void run(const char *bytes, size_t size)
{
    char *exact = fuzz_copy(bytes, size);
    LLVMFuzzerTestOneInput((const uint8_t *)exact, size);
    free(exact);
}

static void load(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    MUST(file != NULL && count < INPUTS_MAX);
    inputs[count].bytes = malloc(LONGEST);
    MUST(inputs[count].bytes != NULL);
    inputs[count].size = fread(inputs[count].bytes, 1, LONGEST, file);
    fclose(file);
    count++;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_all(const char *folder)
{
    struct dirent **names;
    int found = scandir(folder, &names, NULL, by_name);
    for (int i = 0; i < found; i++) {
        if (names[i]->d_name[0] != '.')
            load(folder, names[i]->d_name);
        free(names[i]);
    }
    if (found >= 0)
        free(names);
}

// Makes one small change; returns the new size.
static size_t change(char *bytes, size_t size)
{
    size_t at = (size_t)draw(size + 1), length = (size_t)draw(8) + 1;
    if (length > size - at)
        length = size - at;
    switch (draw(6)) {
    case 0: return at;
    case 1: memmove(bytes + at, bytes + at + length, size - at - length); return size - length;
    case 2:
        if (size + length > LONGEST)
            return size;
        memmove(bytes + at + length, bytes + at, size - at);
        return size + length;
    case 3: {
        size_t input = (size_t)draw(count), from = (size_t)draw(inputs[input].size + 1);
        size_t more = inputs[input].size - from;
        more = more < LONGEST - at ? more : LONGEST - at;
        memcpy(bytes + at, inputs[input].bytes + from, more);
        return at + more;
    }
    case 4:
        if (at < size)
            bytes[at] = "\0\xff\x7f\x80 \t\n,;:=%\"\\{}[]0-"[draw(21)];
        return size;
    default:
        if (at < size)
            bytes[at] = (char)draw(256);
        return size;
    }
}

int main(int arguments, char **argument)
{
    MUST(arguments == 2);
    const char *wanted = getenv("NSP_FUZZ_RUNS");
    long runs = wanted != NULL ? atol(wanted) : &fuzz_runs != NULL ? fuzz_runs : 20000;
    static char bytes[LONGEST];
    load_all(argument[1]);
    if (count == 0) {
        fprintf(stderr, "%s holds no inputs\n", argument[1]);
        return 1;
    }
    run("", 0);
    for (size_t i = 0; i < count; i++)
        run(inputs[i].bytes, inputs[i].size);
    for (long i = 0; i < runs; i++) {
        size_t input = (size_t)draw(count), size = inputs[input].size;
        memcpy(bytes, inputs[input].bytes, size);
        for (uint64_t changes = 1 + draw(4); changes != 0; changes--)
            size = change(bytes, size);
        run(bytes, size);
    }
    printf("%zu inputs of the corpus, %ld changed ones\n", count, runs);
    for (size_t i = 0; i < count; i++)
        free(inputs[i].bytes);
    return 0;
}
