/* Keeps a core from halting while peers are measured on it, until it is killed or the bench is gone.
 *
 * Usage: spin CORE     prints one line once it runs there
 *
 * It takes what nobody else wants of the core; any other process comes before it at once (SCHED_IDLE). Why: idle.py */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/prctl.h>

#include "kit.h"

int main(int argc, char **argv) {
    if (argc != 2)
        return fprintf(stderr, "usage: spin CORE\n"), 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    cpu_set_t core;
    CPU_ZERO(&core);
    CPU_SET((size_t)atoi(argv[1]), &core);
    struct sched_param none = {0};
    if (sched_setaffinity(0, sizeof core, &core) || sched_setscheduler(0, SCHED_IDLE, &none))
        die("spin");
    puts("ready");
    fflush(stdout);
    for (;;)
        rest();
}
