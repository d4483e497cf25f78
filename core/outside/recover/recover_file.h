// SPDX-License-Identifier: Apache-2.0
//
// A recovery into a file settles when the file is complete and has its name. If it is killed between these
// two, the note tells the next recovery that the file has everything: in the session's file `written`, from
// before the file gets its name until what is in it is settled. A dead session gets no more spans, so a note
// that was true stays true.
#ifndef NSP_OUTSIDE_RECOVER_FILE_H
#define NSP_OUTSIDE_RECOVER_FILE_H

#include "outside/recover/recovery.h"

// Looks whether the session has a note, and the file that it names is there, as it was when it was noted, and
// belongs to this user; it is never opened. True: then everything that can be exported is settled, and what
// was found is no longer what the session holds: find it again. False: nothing is. The note is removed,
// unless the session could not be written, or there was no memory: then it is false with *error set to errno,
// otherwise to 0.
bool nsp__recovery_settle_file(nsp_recovery *recovery, int *error);

// The note is no longer needed.
void nsp__recovery_forget_file(const nsp_recovery *recovery);

#endif
