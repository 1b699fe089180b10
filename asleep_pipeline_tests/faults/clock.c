/* The machine's clock as a process sees it, stepped by the seconds that a shared file holds.
   Loaded before the C library; the monotonic clocks go on as they are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *step_s;
static int (*real_clock)(clockid_t, struct timespec *);

static void __attribute__((constructor)) begin(void) {
    int fd = open(getenv("STEPPED_CLOCK"), O_RDONLY);
    void *shared = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED) step_s = shared;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    if (!real_clock) real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real_clock(id, now);
    if (!failed && id == CLOCK_REALTIME && step_s) now->tv_sec += *step_s;
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise)) return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
