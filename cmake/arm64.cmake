# SPDX-License-Identifier: Apache-2.0
#
# Toolchain file: builds for arm64 on another processor, with Debian's cross compiler, and runs the tests with
# qemu-user. NSP_SYSROOT is a folder with arm64's libraries, which tools/arm64/sysroot.sh makes.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER NOTFOUND) # no program of the project needs it
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES NSP_SYSROOT)
set(CMAKE_SYSROOT ${NSP_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${NSP_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR}
    ${NSP_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${NSP_SYSROOT}/usr/share/pkgconfig)

find_program(NSP_QEMU qemu-aarch64 REQUIRED)
set(CMAKE_CROSSCOMPILING_EMULATOR ${NSP_QEMU} -L ${NSP_SYSROOT})
