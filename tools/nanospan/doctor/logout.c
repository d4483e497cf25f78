// SPDX-License-Identifier: Apache-2.0
//
// Does logging out remove this user's sessions? systemd-logind removes what a user has in /dev/shm when the
// user's last login ends, unless the user lingers, is a system user, or RemoveIPC=no is set.
#include "doctor.h"

#include <glob.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

// Those that logind leaves alone: system users, nobody, and the dynamic users of services.
static bool is_exempt(uid_t uid)
{
    return uid < 1000 || uid == 65534 || (uid >= 61184 && uid <= 65519);
}

static bool lingers(uid_t uid)
{
    const struct passwd *user = getpwuid(uid);
    char path[400];
    snprintf(path, sizeof path, "/var/lib/systemd/linger/%s", user != NULL ? user->pw_name : "");
    return user != NULL && access(path, F_OK) == 0;
}

// The last line of the file that sets it counts; *removes stays as it is if there is none.
static void read_file(const char *path, bool *removes)
{
    static const char KEY[] = "RemoveIPC=";
    char line[200];
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, KEY, strlen(KEY)) == 0)
            *removes =
                strchr("yYtT1oO", line[strlen(KEY)]) != NULL && strncmp(line + strlen(KEY), "of", 2) != 0;
    if (file != NULL)
        fclose(file);
}

static bool removes_ipc(void)
{
    bool removes = true; // systemd's default
    glob_t found;
    read_file("/etc/systemd/logind.conf", &removes);
    if (glob("/etc/systemd/logind.conf.d/*.conf", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            read_file(found.gl_pathv[i], &removes);
        globfree(&found);
    }
    return removes;
}

void doctor_logout(doctor *d)
{
    const char *folder = d->config.shm_dir;
    bool in_shm =
        folder != NULL && strncmp(folder, "/dev/shm", 8) == 0 && (folder[8] == '\0' || folder[8] == '/');
    if (!in_shm || is_exempt(geteuid()) || access("/run/systemd/users", F_OK) != 0 || lingers(geteuid()) ||
        !removes_ipc())
        return;
    doctor_say(d, DOCTOR_NOTE, "machine.logout",
               "when this user's last login ends, systemd-logind removes the user's sessions from /dev/shm");
    doctor_advise(
        d, "unless the engine's user never logs in, run loginctl enable-linger, or set RemoveIPC=no in "
           "/etc/systemd/logind.conf");
}
