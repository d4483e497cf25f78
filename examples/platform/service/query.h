// SPDX-License-Identifier: Apache-2.0
//
// Statements of SQLite, and what a span tells of them: the db.* attributes, with the statement's text as it was written,
// its parameters not filled in. A statement that fails marks the span as failed.
#ifndef PLATFORM_QUERY_H
#define PLATFORM_QUERY_H

#include <nanospan/nanospan.h>
#include <sqlite3.h>
#include <stdbool.h>

#include "platform/service/database.h"
#include "platform/service/server.h"

struct query_text {
    const char *operation;  // "SELECT"
    const char *collection; // the table
    const char *text;       // with ? for what changes from call to call
};

struct query {
    sqlite3 *connection;
    sqlite3_stmt *statement; // bind parameters here
    nsp_span *span;
    long long rows;
    int error; // SQLite's code; SQLITE_OK while all is well
};

// Prepares the statement and describes it on the span. False, with the span marked, if that fails.
bool query_begin(struct query *query, sqlite3 *connection, nsp_span *span, const struct query_text *text);

// The next row: true while there is one. After false, query->error tells the end from a failure.
bool query_next(struct query *query);

// Ends it. True if all went well.
bool query_end(struct query *query);

// Runs a prepared statement without a result, or one whose result does not matter, and ends it; *changed (may be NULL) gets
// the number of rows that it changed.
bool query_run(struct query *query, int *changed);

// BEGIN, COMMIT and the like. Returns SQLite's code; not SQLITE_OK: the span is marked.
int query_control(sqlite3 *connection, nsp_span *span, const char *text);

// Marks a span with an error of SQLite.
void query_fail(nsp_span *span, int code, const char *message);

// Takes a connection from the pool, and says on the span which file it is and whether it was open. Returns SQLite's code.
int query_connect(struct database *database, nsp_span *span, struct connection *out);

// What the caller of the service is told of such an error: 503 where trying again may help, else 500.
void query_failure_reply(struct reply *reply, int code);

#endif
