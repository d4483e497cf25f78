// SPDX-License-Identifier: Apache-2.0
//
// SQLite statements, and their description on a span: the db.* attributes, with the text of the statement as
// it was written, without the values of its parameters. A statement that fails marks the span as failed.
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
    const char *text;       // with ? in place of the parameters
};

struct query {
    sqlite3 *connection;
    sqlite3_stmt *statement; // bind parameters here
    nsp_span *span;
    long long rows;
    int error; // SQLite's code; SQLITE_OK as long as nothing failed
};

// Prepares the statement and describes it on the span. On failure, marks the span and returns false.
bool query_begin(struct query *query, sqlite3 *connection, nsp_span *span, const struct query_text *text);

// Steps to the next row; false if there is none. After false, query->error tells the end from a failure.
bool query_next(struct query *query);

// Ends the query. True if nothing failed.
bool query_end(struct query *query);

// Runs a prepared statement that has no result, or whose result does not matter, and ends it. *changed (may
// be NULL) receives the number of rows that it changed.
bool query_run(struct query *query, int *changed);

// Runs BEGIN, COMMIT and the like. Returns SQLite's code; if that is not SQLITE_OK, the span is marked.
int query_control(sqlite3 *connection, nsp_span *span, const char *text);

// Marks a span as failed with an SQLite error.
void query_fail(nsp_span *span, int code, const char *message);

// Takes a connection from the pool, and sets on the span which file it is for and whether it was reused.
// Returns SQLite's code.
int query_connect(struct database *database, nsp_span *span, struct connection *out);

// The reply to the caller of the service for such an error: 503 if trying again may help, otherwise 500.
void query_failure_reply(struct reply *reply, int code);

#endif
