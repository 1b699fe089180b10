/*
 * Logs every change that a process makes to files below a folder, in the order in which the kernel
 * saw them, so that a power cut can be replayed afterwards. Preload it (LD_PRELOAD) with
 * RECORDER_ROOT and RECORDER_LOG set. One lock around each call and its record makes the order total.
 *
 * A record: op (1 byte), inode and offset (8 bytes each), sizes of text and data (4 bytes each),
 * text, data; all little-endian as on the machine. Ops:
 *   C create file (text path)   T set size (offset)       W write (offset, data)
 *   S sync of a file            D sync of a folder (text) M make folder (text)
 *   R rename (text old, data new)   U unlink (text)       X remove folder (text)
 *   N note (text)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char root[PATH_MAX];
static size_t root_size;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void) {
    const char *folder = getenv("RECORDER_ROOT"), *log = getenv("RECORDER_LOG");
    if (!folder || !log) return;
    snprintf(root, sizeof root, "%s", folder);
    root_size = strlen(root);
    log_fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const void *bytes, size_t size) {
    static __typeof__(&write) real;
    if (!real) real = REAL(write);
    const char *at = bytes;
    while (size) {
        ssize_t done = real(log_fd, at, size);
        if (done <= 0) abort();
        at += done;
        size -= (size_t)done;
    }
}

static void record(char op, uint64_t inode, uint64_t offset, const char *text, const void *data,
                   size_t size) {
    uint32_t sizes[2] = {(uint32_t)strlen(text), (uint32_t)size};
    put(&op, 1);
    put(&inode, 8);
    put(&offset, 8);
    put(sizes, 8);
    put(text, sizes[0]);
    if (size) put(data, size);
}

static int is_below(const char *path) {
    return log_fd >= 0 && !strncmp(path, root, root_size) &&
           (path[root_size] == '/' || path[root_size] == 0);
}

/* The absolute path of a file named relative to a folder; 0 when it does not lie below the root. */
static int locate(int folder, const char *path, char *out) {
    char link[64];
    if (log_fd < 0) return 0;
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return is_below(out);
    }
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t size = readlink(link, out, PATH_MAX - 1);
    if (size < 0) return 0;
    snprintf(out + size, PATH_MAX - (size_t)size, "/%s", path);
    return is_below(out);
}

/* The inode behind a descriptor; 0 when it is no file or folder below the root. */
static uint64_t inode_of(int fd, char *path, int *is_folder) {
    char link[64];
    struct stat status;
    if (log_fd < 0 || fd == log_fd) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0) return 0;
    path[size] = 0;
    if (!is_below(path) || fstat(fd, &status)) return 0;
    *is_folder = S_ISDIR(status.st_mode);
    return status.st_ino;
}

void recorder_note(const char *text) {
    pthread_mutex_lock(&lock);
    if (log_fd >= 0) record('N', 0, 0, text, NULL, 0);
    pthread_mutex_unlock(&lock);
}

/* ---- opening ---- */

static int opened(int (*real)(int, const char *, int, ...), int folder, const char *path, int flags,
                  mode_t mode) {
    char where[PATH_MAX];
    struct stat before, after;
    if (!(flags & (O_CREAT | O_TRUNC)) || !locate(folder, path, where))
        return real(folder, path, flags, mode);
    pthread_mutex_lock(&lock);
    int was_there = !fstatat(folder, path, &before, 0);
    int fd = real(folder, path, flags, mode);
    int saved = errno;
    if (fd >= 0 && !fstat(fd, &after)) {
        if (!was_there) record('C', after.st_ino, 0, where, NULL, 0);
        else if (flags & O_TRUNC) record('T', after.st_ino, 0, "", NULL, 0);
    }
    errno = saved;
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_in(int flags, va_list more) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

#define OPEN(name)                                                             \
    int name(const char *path, int flags, ...) {                               \
        va_list more;                                                          \
        va_start(more, flags);                                                 \
        mode_t mode = mode_in(flags, more);                                    \
        va_end(more);                                                          \
        return opened(REAL(openat), AT_FDCWD, path, flags, mode);              \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                           \
    int name(int folder, const char *path, int flags, ...) {                   \
        va_list more;                                                          \
        va_start(more, flags);                                                 \
        mode_t mode = mode_in(flags, more);                                    \
        va_end(more);                                                          \
        return opened(REAL(openat), folder, path, flags, mode);                \
    }
OPENAT(openat)
OPENAT(openat64)

/* ---- content ---- */

static off_t place(int fd) {
    struct stat status;
    if (fcntl(fd, F_GETFL) & O_APPEND) return fstat(fd, &status) ? 0 : status.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    int is_folder;
    uint64_t inode = inode_of(fd, path, &is_folder);
    if (!inode) return REAL(write)(fd, data, size);
    pthread_mutex_lock(&lock);
    off_t offset = place(fd);
    ssize_t done = REAL(write)(fd, data, size);
    int saved = errno;
    if (done > 0) record('W', inode, (uint64_t)offset, "", data, (size_t)done);
    errno = saved;
    pthread_mutex_unlock(&lock);
    return done;
}

#define PWRITE(name)                                                           \
    ssize_t name(int fd, const void *data, size_t size, off_t offset) {        \
        char path[PATH_MAX];                                                   \
        int is_folder;                                                         \
        uint64_t inode = inode_of(fd, path, &is_folder);                       \
        if (!inode) return REAL(name)(fd, data, size, offset);                 \
        pthread_mutex_lock(&lock);                                             \
        ssize_t done = REAL(name)(fd, data, size, offset);                     \
        int saved = errno;                                                     \
        if (done > 0)                                                          \
            record('W', inode, (uint64_t)offset, "", data, (size_t)done);      \
        errno = saved;                                                         \
        pthread_mutex_unlock(&lock);                                           \
        return done;                                                           \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

/* Piece by piece, so that one kind of record is enough. */
ssize_t writev(int fd, const struct iovec *pieces, int count) {
    char path[PATH_MAX];
    int is_folder;
    if (!inode_of(fd, path, &is_folder)) return REAL(writev)(fd, pieces, count);
    ssize_t total = 0;
    for (int i = 0; i < count; i++) {
        ssize_t done = write(fd, pieces[i].iov_base, pieces[i].iov_len);
        if (done < 0) return total ? total : -1;
        total += done;
        if ((size_t)done < pieces[i].iov_len) break;
    }
    return total;
}

/* Refused, so that the caller copies by read and write, which are seen. */
#define SENDFILE(name)                                                         \
    ssize_t name(int out, int in, off_t *offset, size_t size) {                \
        char path[PATH_MAX];                                                   \
        int is_folder;                                                         \
        if (!inode_of(out, path, &is_folder))                                  \
            return REAL(name)(out, in, offset, size);                          \
        errno = ENOTSOCK;                                                      \
        return -1;                                                             \
    }
SENDFILE(sendfile)
SENDFILE(sendfile64)

ssize_t copy_file_range(int in, off_t *from, int out, off_t *to, size_t size, unsigned flags) {
    char path[PATH_MAX];
    int is_folder;
    if (!inode_of(out, path, &is_folder))
        return REAL(copy_file_range)(in, from, out, to, size, flags);
    errno = ENOTSUP;
    return -1;
}

#define FTRUNCATE(name)                                                        \
    int name(int fd, off_t size) {                                             \
        char path[PATH_MAX];                                                   \
        int is_folder;                                                         \
        uint64_t inode = inode_of(fd, path, &is_folder);                       \
        if (!inode) return REAL(name)(fd, size);                               \
        pthread_mutex_lock(&lock);                                             \
        int failed = REAL(name)(fd, size);                                     \
        int saved = errno;                                                     \
        if (!failed) record('T', inode, (uint64_t)size, "", NULL, 0);          \
        errno = saved;                                                         \
        pthread_mutex_unlock(&lock);                                           \
        return failed;                                                         \
    }
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

#define SYNC(name)                                                             \
    int name(int fd) {                                                         \
        char path[PATH_MAX];                                                   \
        int is_folder;                                                         \
        uint64_t inode = inode_of(fd, path, &is_folder);                       \
        if (!inode) return REAL(name)(fd);                                     \
        pthread_mutex_lock(&lock);                                             \
        int failed = REAL(name)(fd);                                           \
        int saved = errno;                                                     \
        if (!failed)                                                           \
            record(is_folder ? 'D' : 'S', inode, 0, is_folder ? path : "", NULL, 0); \
        errno = saved;                                                         \
        pthread_mutex_unlock(&lock);                                           \
        return failed;                                                         \
    }
SYNC(fsync)
SYNC(fdatasync)

/* ---- names ---- */

static int moved(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    char old[PATH_MAX], new[PATH_MAX];
    int is_ours = locate(from_folder, from, old) & locate(to_folder, to, new);
    if (!is_ours) return REAL(renameat2)(from_folder, from, to_folder, to, flags);
    pthread_mutex_lock(&lock);
    int failed = REAL(renameat2)(from_folder, from, to_folder, to, flags);
    int saved = errno;
    if (!failed) record('R', 0, 0, old, new, strlen(new));
    errno = saved;
    pthread_mutex_unlock(&lock);
    return failed;
}

int rename(const char *from, const char *to) { return moved(AT_FDCWD, from, AT_FDCWD, to, 0); }

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return moved(from_folder, from, to_folder, to, 0);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    return moved(from_folder, from, to_folder, to, flags);
}

static int removed(int folder, const char *path, int flags) {
    char where[PATH_MAX];
    if (!locate(folder, path, where)) return REAL(unlinkat)(folder, path, flags);
    pthread_mutex_lock(&lock);
    int failed = REAL(unlinkat)(folder, path, flags);
    int saved = errno;
    if (!failed) record(flags & AT_REMOVEDIR ? 'X' : 'U', 0, 0, where, NULL, 0);
    errno = saved;
    pthread_mutex_unlock(&lock);
    return failed;
}

int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }

int unlinkat(int folder, const char *path, int flags) { return removed(folder, path, flags); }

int rmdir(const char *path) { return removed(AT_FDCWD, path, AT_REMOVEDIR); }

int remove(const char *path) {
    int failed = removed(AT_FDCWD, path, 0);
    return failed && errno == EISDIR ? rmdir(path) : failed;
}

int mkdirat(int folder, const char *path, mode_t mode) {
    char where[PATH_MAX];
    if (!locate(folder, path, where)) return REAL(mkdirat)(folder, path, mode);
    pthread_mutex_lock(&lock);
    int failed = REAL(mkdirat)(folder, path, mode);
    int saved = errno;
    if (!failed) record('M', 0, 0, where, NULL, 0);
    errno = saved;
    pthread_mutex_unlock(&lock);
    return failed;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
