/* The upstream of the bench: plays prepared answers over HTTP/1.1 keep-alive, on one epoll loop.
 *
 * Usage: upstream FOLDER [PORT]. Writes the port as a line. A request's "model" is the name of a file in FOLDER:
 * a line `INTERVAL_US COUNT`, a line of COUNT lengths, then COUNT pieces, the first with the response's head.
 * A piece is written every INTERVAL_US, with the time of writing in its marks: `@@` and 13 digits, microseconds of
 * CLOCK_MONOTONIC. With an interval of 0 each piece is one write, one after another, and its marks stay zeros.
 * `GET /stats` gives {"answers", "marks", "open", "left", "left_us", "awake"}: `left` counts clients that closed before
 * the end of their answer, `left_us` is the time at which the last of these was seen. `GET /awake` and `GET /asleep` say
 * whether it polls from now on or, as it does first, sleeps until something comes or is due; they give the same. */
#define _GNU_SOURCE
#include "kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_BYTES = 32768, ANSWERS = 256, NAME = 128, MARK = 15, DIGITS = 13, BATCH = 256 };

struct piece {
    const char *bytes;
    size_t length;
    size_t marks; /* how many */
};

struct answer {
    char name[NAME];
    int64_t interval_us;
    size_t count, longest;
    struct piece *pieces;
};

struct client {
    int fd;
    const struct answer *playing; /* NULL: waits for a request */
    size_t next;                  /* piece to write after the one at `out` */
    const char *out;              /* what the socket has not taken yet */
    size_t out_length;
    char *stamped; /* a copy of the piece at `out`, with the time in it */
    int64_t begun_us;
    size_t heap_at; /* position in `heap` plus 1; 0: not in it */
    int64_t due_us;
    int wants_write;
    size_t got;
    char in[REQUEST_BYTES];
};

static const char *folder;
static struct answer answers[ANSWERS];
static size_t answer_count;
static struct client **heap;
static size_t heap_count, heap_room;
static int poller, awake;
static uint64_t answered, marks_sent, open_count, left_count;
static int64_t left_us;

/* ---- prepared answers ---- */

static size_t count_marks(const char *bytes, size_t length) {
    size_t found = 0;
    const char *end = bytes + length;
    while ((bytes = memmem(bytes, (size_t)(end - bytes), "@@", 2))) {
        found++;
        bytes += MARK;
    }
    return found;
}

static int load_answer(struct answer *a, const char *name) {
    char path[1024];
    long long interval;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    snprintf(a->name, sizeof a->name, "%s", name);
    if (fscanf(file, "%lld %zu", &interval, &a->count) != 2 || !a->count)
        return fclose(file), 0;
    a->interval_us = interval;
    a->longest = 0;
    a->pieces = calloc(a->count, sizeof *a->pieces);
    for (size_t i = 0; i < a->count; i++)
        if (fscanf(file, "%zu", &a->pieces[i].length) != 1)
            return fclose(file), 0;
    fgetc(file);
    for (size_t i = 0; i < a->count; i++) {
        struct piece *p = &a->pieces[i];
        char *bytes = malloc(p->length);
        if (fread(bytes, 1, p->length, file) != p->length)
            return fclose(file), 0;
        p->bytes = bytes;
        p->marks = count_marks(bytes, p->length);
        if (p->length > a->longest)
            a->longest = p->length;
    }
    return fclose(file), 1;
}

static const struct answer *answer_named(const char *name) {
    for (size_t i = 0; i < answer_count; i++)
        if (!strcmp(answers[i].name, name))
            return &answers[i];
    if (answer_count == ANSWERS || strchr(name, '/') || !load_answer(&answers[answer_count], name))
        return NULL;
    return &answers[answer_count++];
}

/* ---- what is due next: a binary heap, earliest first ---- */

static void heap_put(size_t at, struct client *c) {
    heap[at] = c;
    c->heap_at = at + 1;
}

static void heap_up(size_t at) {
    struct client *c = heap[at];
    for (; at && heap[(at - 1) / 2]->due_us > c->due_us; at = (at - 1) / 2)
        heap_put(at, heap[(at - 1) / 2]);
    heap_put(at, c);
}

static void heap_down(size_t at) {
    struct client *c = heap[at];
    for (size_t child; (child = 2 * at + 1) < heap_count; at = child) {
        if (child + 1 < heap_count && heap[child + 1]->due_us < heap[child]->due_us)
            child++;
        if (heap[child]->due_us >= c->due_us)
            break;
        heap_put(at, heap[child]);
    }
    heap_put(at, c);
}

static void heap_add(struct client *c) {
    if (heap_count == heap_room)
        heap = realloc(heap, (heap_room = heap_room ? 2 * heap_room : 1024) * sizeof *heap);
    heap_put(heap_count, c);
    heap_up(heap_count++);
}

static void heap_remove(struct client *c) {
    if (!c->heap_at)
        return;
    size_t at = c->heap_at - 1;
    struct client *last = heap[--heap_count];
    c->heap_at = 0;
    if (last == c)
        return;
    heap_put(at, last);
    heap_up(at);
    heap_down(last->heap_at - 1);
}

/* ---- writing ---- */

static void want_write(struct client *c, int wanted) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    if (c->wants_write != wanted)
        epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
    c->wants_write = wanted;
}

static void stamp(struct client *c) {
    char digits[DIGITS + 1], *at = c->stamped, *end = at + c->out_length;
    snprintf(digits, sizeof digits, "%013lld", (long long)now_us());
    for (; (at = memmem(at, (size_t)(end - at), "@@", 2)); at += MARK)
        memcpy(at + 2, digits, DIGITS);
}

static void take_piece(struct client *c) {
    const struct piece *p = &c->playing->pieces[c->next++];
    c->out = p->bytes;
    c->out_length = p->length;
    marks_sent += p->marks;
    if (!c->playing->interval_us)
        return;
    memcpy(c->stamped, p->bytes, p->length);
    c->out = c->stamped;
    stamp(c);
}

/* 1: all of `out` is written; 0: the socket is full, or gone (then reading says so). */
static int flush(struct client *c) {
    while (c->out_length) {
        ssize_t sent = send(c->fd, c->out, c->out_length, MSG_NOSIGNAL);
        if (sent < 0) {
            want_write(c, errno == EAGAIN);
            return 0;
        }
        c->out += sent;
        c->out_length -= (size_t)sent;
    }
    want_write(c, 0);
    return 1;
}

/* Writes what is due, and arranges for the rest. */
static void play(struct client *c) {
    int64_t interval = c->playing->interval_us;
    while (flush(c)) {
        if (c->next == c->playing->count) {
            c->playing = NULL;
            answered++;
            return;
        }
        c->due_us = c->begun_us + (int64_t)c->next * interval;
        if (interval && c->due_us > now_us()) {
            heap_add(c);
            return;
        }
        take_piece(c);
    }
}

static void say(struct client *c, const char *status, const char *body) {
    char text[1024];
    int length = snprintf(text, sizeof text, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                          status, strlen(body), body);
    if (send(c->fd, text, (size_t)length, MSG_NOSIGNAL) != length)
        perror("upstream: answer");
}

static void say_stats(struct client *c) {
    char body[256];
    snprintf(body, sizeof body, "{\"answers\":%llu,\"marks\":%llu,\"open\":%llu,\"left\":%llu,\"left_us\":%lld,\"awake\":%d}",
             (unsigned long long)answered, (unsigned long long)marks_sent, (unsigned long long)open_count,
             (unsigned long long)left_count, (long long)left_us, awake);
    say(c, "200 OK", body);
}

/* ---- reading ---- */

/* Bytes of the whole request at the start of `in`; 0: not all there yet. */
static size_t request_length(const struct client *c) {
    const char *end = memmem(c->in, c->got, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end + 4 - c->in);
    const char *length = strcasestr(c->in, "\r\ncontent-length:");
    if (length && length < end) {
        size_t whole = head + strtoul(length + 17, NULL, 10);
        return whole <= c->got ? whole : 0;
    }
    const char *chunked = strcasestr(c->in, "\r\ntransfer-encoding: chunked");
    if (!chunked || chunked > end)
        return head;
    /* Clients wait for the answer before they ask again, so the last chunk ends what has come. */
    return !memcmp(c->in + c->got - 5, "0\r\n\r\n", 5) ? c->got : 0;
}

static const struct answer *asked_for(const char *request) {
    char name[NAME];
    const char *key = strstr(request, "\"model\":");
    if (!key || (sscanf(key + 8, " \"%127[^\"]\"", name)) != 1)
        return NULL;
    return answer_named(name);
}

static void begin(struct client *c, const struct answer *a) {
    c->playing = a;
    c->next = 0;
    c->begun_us = now_us();
    if (a->interval_us)
        c->stamped = realloc(c->stamped, a->longest);
    take_piece(c);
    play(c);
}

static int begins_with(const struct client *c, const char *start) {
    return !strncmp(c->in, start, strlen(start));
}

static void respond(struct client *c) {
    if (!request_length(c))
        return;
    int get = begins_with(c, "GET "), wake = begins_with(c, "GET /awake "), rest = begins_with(c, "GET /asleep ");
    int stats = wake || rest || begins_with(c, "GET /stats ");
    const struct answer *a = get ? NULL : asked_for(c->in);
    c->got = 0;
    if (wake || rest)
        awake = wake;
    if (stats)
        say_stats(c);
    else if (get) /* some peers ask first whether we are well, or which models we have */
        say(c, "200 OK", "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"created\":1,\"owned_by\":\"bench\"}]}");
    else if (a)
        begin(c, a);
    else
        say(c, "404 Not Found", "{\"error\":{\"message\":\"no such answer\",\"type\":\"invalid_request_error\"}}");
}

static void drop(struct client *c) {
    if (c->playing) {
        left_count++;
        left_us = now_us();
    }
    heap_remove(c);
    close(c->fd);
    free(c->stamped);
    free(c);
    open_count--;
}

/* 0: the client is gone. */
static int receive(struct client *c) {
    ssize_t got = recv(c->fd, c->in + c->got, REQUEST_BYTES - 1 - c->got, 0);
    if (got < 0 && errno == EAGAIN)
        return 1;
    if (got <= 0)
        return 0;
    c->got += (size_t)got;
    c->in[c->got] = 0;
    if (!c->playing)
        respond(c);
    return c->got < REQUEST_BYTES - 1;
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct client *c = malloc(sizeof *c);
        memset(c, 0, offsetof(struct client, in));
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event))
            die("upstream: epoll_ctl");
        open_count++;
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof to;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&to, size) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&to, &size))
        die("upstream: listen");
    printf("%d\n", ntohs(to.sin_port));
    fflush(stdout);
    return fd;
}

static void play_what_is_due(void) {
    int64_t now = now_us();
    while (heap_count && heap[0]->due_us <= now) {
        struct client *c = heap[0];
        heap_remove(c);
        take_piece(c);
        play(c);
    }
}

static int wait_for_events(struct epoll_event *events) {
    if (awake)
        return events_awake(poller, events, BATCH);
    if (!heap_count)
        return epoll_wait(poller, events, BATCH, -1);
    /* Nanoseconds: with whole milliseconds several streams would share a wake-up, and be cheaper than alone. */
    int64_t wait = heap[0]->due_us - now_us();
    struct timespec until = {.tv_sec = wait > 0 ? wait / 1000000 : 0, .tv_nsec = wait > 0 ? wait % 1000000 * 1000 : 0};
    return epoll_pwait2(poller, events, BATCH, &until, NULL);
}

static void loop(int listener) {
    struct epoll_event events[BATCH];
    for (;;) {
        int count = wait_for_events(events);
        if (count < 0 && errno != EINTR)
            die("upstream: epoll_wait");
        for (int i = 0; i < count; i++) {
            struct client *c = events[i].data.ptr;
            if (!c)
                accept_all(listener);
            else if ((events[i].events & ~(uint32_t)EPOLLOUT) && !receive(c))
                drop(c);
            else if ((events[i].events & EPOLLOUT) && c->playing)
                play(c);
        }
        play_what_is_due();
    }
}

int main(int argc, char **argv) {
    if (argc < 2)
        return fprintf(stderr, "usage: upstream FOLDER [PORT]\n"), 2;
    allow_many_connections();
    folder = argv[1];
    poller = epoll_create1(0);
    int listener = listen_on(argc > 2 ? atoi(argv[2]) : 0);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    loop(listener);
}
