// SPDX-License-Identifier: Apache-2.0
#include "feed/order_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum column { KIND, ACCOUNT, SYMBOL, SIDE, PRICE, QUANTITY, TARGET, COLUMNS };

// Splits the line at its commas, in place. False if it does not have exactly the right number of columns.
static bool split(char *line, char *columns[COLUMNS])
{
    line[strcspn(line, "\r\n")] = 0;
    for (int i = 0; i < COLUMNS; i++) {
        columns[i] = strsep(&line, ",");
        if (columns[i] == NULL)
            return false;
    }
    return line == NULL;
}

static bool number(const char *text, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *out = (uint32_t)value;
    return *text >= '0' && *text <= '9' && !*end && !errno && value <= UINT32_MAX;
}

static bool parse(char *text, size_t line_number, struct order_line *line)
{
    char *columns[COLUMNS];
    *line = (struct order_line){0};
    if (!split(text, columns) || !number(columns[ACCOUNT], &line->account))
        return false;
    if (strcmp(columns[KIND], "cancel") == 0) {
        line->cancel = true;
        return number(columns[TARGET], &line->target) && line->target >= 1 && line->target < line_number;
    }
    bool limit = strcmp(columns[KIND], "limit") == 0, buy = strcmp(columns[SIDE], "buy") == 0;
    if ((!limit && strcmp(columns[KIND], "immediate") != 0) || (!buy && strcmp(columns[SIDE], "sell") != 0))
        return false;
    line->time_in_force = limit ? TIF_DAY : TIF_IMMEDIATE;
    line->side = buy ? SIDE_BUY : SIDE_SELL;
    if (strlen(columns[SYMBOL]) > SYMBOL_SIZE)
        return false;
    memcpy(line->symbol, columns[SYMBOL], strlen(columns[SYMBOL]));
    return number(columns[PRICE], &line->price) && number(columns[QUANTITY], &line->quantity);
}

static bool append(struct order_file *file, size_t *capacity, const struct order_line *line)
{
    if (file->count == *capacity) {
        size_t wanted = *capacity ? *capacity * 2 : 1024;
        struct order_line *lines = realloc(file->lines, wanted * sizeof *lines);
        if (lines == NULL)
            return false;
        file->lines = lines;
        *capacity = wanted;
    }
    file->lines[file->count++] = *line;
    return true;
}

bool order_file_read(struct order_file *file, const char *path)
{
    char text[256];
    size_t capacity = 0, row = 0;
    bool heading = true;
    *file = (struct order_file){0};
    FILE *in = fopen(path, "r");
    if (in == NULL) {
        fprintf(stderr, "feed: cannot open the order file '%s': %s\n", path, strerror(errno));
        return false;
    }
    while (fgets(text, sizeof text, in) != NULL) {
        struct order_line line;
        row++;
        if (text[0] == '#')
            continue;
        if (heading) {
            heading = false;
            continue;
        }
        if (!parse(text, file->count + 1, &line)) {
            fprintf(stderr,
                    "feed: %s:%zu: this line is not an order; the columns are "
                    "kind,account,symbol,side,price,quantity,target\n",
                    path, row);
            goto failed;
        }
        if (!append(file, &capacity, &line)) {
            fprintf(stderr, "feed: out of memory\n");
            goto failed;
        }
    }
    if (ferror(in) || file->count == 0) {
        fprintf(stderr, "feed: there are no orders in '%s'\n", path);
        goto failed;
    }
    fclose(in);
    return true;
failed:
    fclose(in);
    order_file_free(file);
    return false;
}

void order_file_free(struct order_file *file)
{
    free(file->lines);
    *file = (struct order_file){0};
}
