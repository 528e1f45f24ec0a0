/* What upstream and clients share. */
#pragma once

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

enum { RESTS = 32 }; /* between two looks; on x86-64 about a microsecond */

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

static inline int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Leaves the other thread of a shared core, which may be the peer's, its speed. */
static inline void rest(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#else
    __asm__ volatile("");
#endif
}

/* What has come, without sleeping. On a virtual machine, to wake a process that sleeps on another core is an interrupt
 * through the hypervisor, which whoever writes to it pays. Upstream and clients share a core: each leaves it to the other. */
static inline int events_awake(int poller, struct epoll_event *events, int most) {
    int count = epoll_wait(poller, events, most, 0);
    if (!count) {
        for (int i = 0; i < RESTS; i++)
            rest();
        sched_yield();
    }
    return count;
}

static inline void allow_many_connections(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}
