/* A disk that fails: loaded before libc, it refuses what a process writes to some paths.
 *
 *     cc -shared -fPIC -O1 -o failing_disk.so failing_disk.c -ldl
 *     LD_PRELOAD=./failing_disk.so DISK_FAILS=/rounds/1/ DISK_ERROR=28 program
 *
 * DISK_FAILS part of the paths that fail; nothing fails where it is not set
 * DISK_ERROR errno: 28 no space left, 5 input/output error, 30 read-only, 13 permission denied
 * DISK_AFTER so many refusals are let pass first, then everything is refused (default 0)
 * DISK_LOG   a file that gets a line for every refusal
 *
 * As on a real disk, no space refuses what needs some (an empty file doesn't), an input/output
 * error what reaches the device, and the other two whatever would change a file or a folder.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { SPACE = 1, DEVICE = 2, CHANGE = 4 };

static atomic_long met;

static int concerns(int error, enum kind kind) {
    if (error == ENOSPC || error == EDQUOT) return kind & SPACE;
    if (error == EIO) return kind & DEVICE;
    return kind & CHANGE;
}

/* Return the error for an operation on a path, 0 where it may go on. */
static int refused(const char *path, enum kind kind, const char *what) {
    const char *part = getenv("DISK_FAILS");
    const char *after = getenv("DISK_AFTER"), *number = getenv("DISK_ERROR");
    if (!part || !path || !strstr(path, part)) return 0;
    int error = number ? atoi(number) : ENOSPC;
    if (!concerns(error, kind)) return 0;
    if (atomic_fetch_add(&met, 1) < (after ? atol(after) : 0)) return 0;
    const char *log = getenv("DISK_LOG");
    if (log) {
        int fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd >= 0) {
            char line[PATH_MAX + 64];
            int size = snprintf(line, sizeof line, "%s %s\n", what, path);
            if (size > (int)sizeof line) size = sizeof line;
            syscall(SYS_write, fd, line, size);
            close(fd);
        }
    }
    return error;
}

static int refused_at(int fd, enum kind kind, const char *what) {
    char link[64], path[PATH_MAX];
    int kept = errno;
    if (!getenv("DISK_FAILS")) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (size <= 0) return 0;
    path[size] = 0;
    return refused(path, kind, what);
}

static int refused_under(int folder, const char *name, enum kind kind, const char *what) {
    char link[64], path[2 * PATH_MAX];
    if (!getenv("DISK_FAILS")) return 0;
    if (name[0] == '/') return refused(name, kind, what);
    int kept = errno;
    ssize_t size;
    if (folder == AT_FDCWD)
        size = getcwd(path, PATH_MAX) ? (ssize_t)strlen(path) : 0;
    else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        size = readlink(link, path, PATH_MAX);
    }
    errno = kept;
    if (size <= 0) return 0;
    snprintf(path + size, sizeof path - size, "/%s", name);
    return refused(path, kind, what);
}

/* What opening changes: only a new file has to reach the device. */
static int refused_open(int folder, const char *name, int flags) {
    int kind = 0;
    if ((flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC)) kind |= CHANGE;
    if (flags & O_CREAT && faccessat(folder, name, F_OK, 0) != 0) kind |= DEVICE;
    return kind ? refused_under(folder, name, kind, "open") : 0;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)
#define REFUSE(test) do { int kept = errno, error = (test); errno = kept; \
                          if (error) { errno = error; return -1; } } while (0)
#define MODE mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *name, int flags, ...) {
    REAL(open); MODE; REFUSE(refused_open(AT_FDCWD, name, flags));
    return real(name, flags, mode);
}
int open64(const char *name, int flags, ...) {
    REAL(open64); MODE; REFUSE(refused_open(AT_FDCWD, name, flags));
    return real(name, flags, mode);
}
int openat(int folder, const char *name, int flags, ...) {
    REAL(openat); MODE; REFUSE(refused_open(folder, name, flags));
    return real(folder, name, flags, mode);
}
int openat64(int folder, const char *name, int flags, ...) {
    REAL(openat64); MODE; REFUSE(refused_open(folder, name, flags));
    return real(folder, name, flags, mode);
}
int creat(const char *name, mode_t mode) {
    REAL(creat); REFUSE(refused_open(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC));
    return real(name, mode);
}

static int fopen_flags(const char *mode) {
    return strchr(mode, 'w') || strchr(mode, 'a') ? O_CREAT | O_WRONLY
         : strchr(mode, '+') ? O_RDWR : O_RDONLY;
}
#define REFUSE_STREAM(test) do { int error = (test); if (error) { errno = error; return NULL; } } while (0)
FILE *fopen(const char *name, const char *mode) {
    REAL(fopen); REFUSE_STREAM(refused_open(AT_FDCWD, name, fopen_flags(mode)));
    return real(name, mode);
}
FILE *fopen64(const char *name, const char *mode) {
    REAL(fopen64); REFUSE_STREAM(refused_open(AT_FDCWD, name, fopen_flags(mode)));
    return real(name, mode);
}

#define ALL (SPACE | DEVICE | CHANGE)
ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(write); REFUSE(refused_at(fd, ALL, "write")); return real(fd, bytes, size);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    REAL(pwrite); REFUSE(refused_at(fd, ALL, "write")); return real(fd, bytes, size, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    REAL(pwrite64); REFUSE(refused_at(fd, ALL, "write")); return real(fd, bytes, size, at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev); REFUSE(refused_at(fd, ALL, "write")); return real(fd, parts, count);
}
ssize_t sendfile(int out, int in, off_t *at, size_t size) {
    REAL(sendfile); REFUSE(refused_at(out, ALL, "write")); return real(out, in, at, size);
}
ssize_t sendfile64(int out, int in, off64_t *at, size_t size) {
    REAL(sendfile64); REFUSE(refused_at(out, ALL, "write")); return real(out, in, at, size);
}
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    REAL(copy_file_range); REFUSE(refused_at(out, ALL, "write"));
    return real(in, from, out, to, size, flags);
}
int ftruncate(int fd, off_t size) {
    REAL(ftruncate); REFUSE(refused_at(fd, ALL, "truncate")); return real(fd, size);
}
int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64); REFUSE(refused_at(fd, ALL, "truncate")); return real(fd, size);
}
int fallocate(int fd, int mode, off_t at, off_t size) {
    REAL(fallocate); REFUSE(refused_at(fd, ALL, "allocate")); return real(fd, mode, at, size);
}
int posix_fallocate(int fd, off_t at, off_t size) {
    REAL(posix_fallocate);
    int error = refused_at(fd, ALL, "allocate");
    return error ? error : real(fd, at, size);
}
int fsync(int fd) { REAL(fsync); REFUSE(refused_at(fd, DEVICE, "sync")); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); REFUSE(refused_at(fd, DEVICE, "sync")); return real(fd); }

int mkdir(const char *name, mode_t mode) {
    struct stat there;
    REAL(mkdir);
    if (stat(name, &there) != 0) REFUSE(refused_under(AT_FDCWD, name, ALL, "mkdir"));
    return real(name, mode);
}
int rename(const char *from, const char *to) {
    REAL(rename); REFUSE(refused_under(AT_FDCWD, to, DEVICE | CHANGE, "rename"));
    return real(from, to);
}
int unlink(const char *name) {
    REAL(unlink); REFUSE(refused_under(AT_FDCWD, name, CHANGE, "unlink")); return real(name);
}
