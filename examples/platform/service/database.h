// SPDX-License-Identifier: Apache-2.0
//
// The SQLite file of a service, and a pool of connections to it. Knows nothing about tracing; query.h does
// that.
#ifndef PLATFORM_DATABASE_H
#define PLATFORM_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <sys/types.h>

struct database;

// The contents of a service's database: statements that create missing tables, and a function that fills
// empty ones.
struct database_plan {
    const char *schema;
    bool (*seed)(sqlite3 *connection); // false: sqlite3_errmsg says why
};

// Opens the file, creates it if it is missing, and prepares its tables. A statement waits up to busy_ms
// milliseconds for the lock of another connection. If the file cannot be used, prints a line on standard
// error and returns NULL.
struct database *database_open(const char *path, const struct database_plan *plan, unsigned busy_ms);
void database_close(struct database *database);

// A connection for one request: an idle one, or a new one. An idle connection is not reused if the path now
// leads to another file.
struct connection {
    sqlite3 *handle; // NULL: no connection
    bool reused;
    dev_t device; // of the file that was opened
    ino_t inode;
};

// Returns SQLite's code, which is SQLITE_OK exactly if there is a handle. Thread safe.
int database_take(struct database *database, struct connection *out);

// Gives the connection back and rolls back a transaction that is still open. A NULL handle is ignored. Thread
// safe.
void database_give(struct database *database, struct connection *connection);

const char *database_path(const struct database *database);

// Runs one statement and fetches one integer; for seeding and health checks. False on failure.
bool database_integer(sqlite3 *connection, const char *text, long long *out);

// The name of an SQLite code, such as "SQLITE_BUSY".
const char *database_code_name(int code);

#endif
