// SPDX-License-Identifier: Apache-2.0
//
// A service's own SQLite file, and a pool of connections to it. Knows nothing of tracing; query.h does.
#ifndef PLATFORM_DATABASE_H
#define PLATFORM_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <sys/types.h>

struct database;

// What a service keeps: statements that make its tables where they are not there yet, and a function that fills empty ones.
struct database_plan {
    const char *schema;
    bool (*seed)(sqlite3 *connection); // false: sqlite3_errmsg says why
};

// Opens the file, makes it where it is missing, and prepares its tables. A statement waits up to busy_ms for another's
// lock. NULL, with a line on standard error, where the file cannot be used.
struct database *database_open(const char *path, const struct database_plan *plan, unsigned busy_ms);
void database_close(struct database *database);

// For one request: an idle connection, or a new one. An idle connection to a file that is no longer the one at the path
// is not used again.
struct connection {
    sqlite3 *handle; // NULL: there is none
    bool reused;
    dev_t device; // of the file that it was opened on
    ino_t inode;
};

// Returns SQLite's code, SQLITE_OK exactly if there is a handle. Thread safe.
int database_take(struct database *database, struct connection *out);

// Hands it back; a transaction that is still open is rolled back. Nothing to hand back is fine. Thread safe.
void database_give(struct database *database, struct connection *connection);

const char *database_path(const struct database *database);

// Runs one statement and fetches one integer; for seeding and health checks. False if that fails.
bool database_integer(sqlite3 *connection, const char *text, long long *out);

// "SQLITE_BUSY" and so on, for a code of SQLite.
const char *database_code_name(int code);

#endif
