// SPDX-License-Identifier: Apache-2.0
//
// How often a recovery of this session crashed, or found it damaged: in the session's file `attempts`. After
// NSP__ATTEMPTS_MAX the session is set aside. That a receiver does not answer does not count. An attempt is
// noted before it begins, and the note taken back after it has ended well, so that one that crashes counts;
// also as soon as it only waits for the receiver, since whoever is killed then has not failed. Once a
// recovery has settled something there are no failed attempts any more: the next one has less to do.
#ifndef NSP_OUTSIDE_RECOVER_ATTEMPTS_H
#define NSP_OUTSIDE_RECOVER_ATTEMPTS_H

#include <stdbool.h>
#include <stdint.h>

enum { NSP__ATTEMPTS_MAX = 2 };

// directory: of the session, open. 0 if there is no such file, or nothing sensible in it.
uint32_t nsp__attempts_read(int directory);
// 0 removes the file. False with errno set, and the file is as before.
bool nsp__attempts_write(int directory, uint32_t attempts);
// The same; a failure is logged, with this name of the session.
void nsp__attempts_note(int directory, const char *name, uint32_t attempts);

// While a recovery enters in the session what was answered, there is a file `settling`. If the recovery dies
// meanwhile, the file stays, and says that spans which are in no place need not be damaged. Where it cannot
// be made, for want of room, they will be taken for damaged.
void nsp__settling_begin(int directory);
void nsp__settling_end(int directory);
bool nsp__settling_interrupted(int directory);

// While a recovery sends, and settles each answer, there is a file `sending`. If it is killed meanwhile, or ends
// without knowing whether its last request was taken, the file stays, and says that this one may have arrived.
void nsp__sending_begin(int directory);
void nsp__sending_end(int directory);
bool nsp__sending_interrupted(int directory);

#endif
