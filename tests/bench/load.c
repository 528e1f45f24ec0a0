/* The clients of the bench: keep-alive HTTP/1.1 connections on one epoll loop, each with one request at a time.
 *
 * Usage: load PORT REQUEST MARKS closed CONNECTIONS SECONDS [awake]     each connection asks again when it is answered
 *        load PORT REQUEST MARKS streams COUNT RAMP_S PATIENCE_S [awake] one request each, begun over RAMP_S
 * With `awake` it polls and never sleeps.
 * REQUEST is a file with a whole HTTP request. Each answer has to be a 200 with MARKS marks (see upstream.c), and, where
 * the request asks for a stream, `[DONE]` at its end. Writes one line of JSON: what came, what was wrong, and exact
 * percentiles in microseconds: `first_us` from the request to the first mark, `delay_us` from a mark's stamp to its read. */
#define _GNU_SOURCE
#include "kit.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GOLDEN 0.6180339887498949 /* its multiples spread evenly over [0, 1), however many there are */

enum { HEAD = 16384, READ = 262144, TAIL = 16, DIGITS = 13, BATCH = 256 };

enum state { CLOSED, CONNECTING, HEADER, LENGTH, SIZE, DATA, DATA_END, TRAILER, UNTIL_CLOSE, IDLE };

struct connection {
    int fd;
    enum state state;
    int64_t asked_us;
    size_t left;     /* of a body of known length, or of a chunk */
    size_t line;     /* characters in this line of the chunk framing */
    size_t marks;    /* in this answer */
    size_t matched;  /* characters of a mark that may have been cut */
    int64_t stamp;
    int closes;      /* the server will close after this answer */
    char tail[TAIL]; /* the body's last bytes */
    size_t head_length;
    char head[HEAD];
};

struct samples {
    uint32_t *us;
    size_t count, room;
};

static char request[65536], first_error[400], buffer[READ];
static size_t request_length, marks_wanted;
static int streams_wanted, port, poller, again, awake;
static int64_t until_us;
static size_t active;
static uint64_t answers, marks, errors;
static struct samples firsts, delays;

static void sample(struct samples *s, int64_t us) {
    if (s->count == s->room)
        s->us = realloc(s->us, (s->room = s->room ? 2 * s->room : 65536) * sizeof *s->us);
    s->us[s->count++] = us < 0 ? 0 : (uint32_t)us;
}

/* ---- one connection ---- */

static void end(struct connection *c) {
    if (c->state == CLOSED)
        return;
    close(c->fd);
    c->state = CLOSED;
    active--;
}

static void fail(struct connection *c, const char *why, const char *detail, size_t length) {
    if (!errors++)
        snprintf(first_error, sizeof first_error, "%s: %.*s", why, (int)(length > 300 ? 300 : length), detail);
    end(c);
}

static void ask(struct connection *c) {
    c->state = HEADER;
    c->head_length = c->marks = c->matched = 0;
    memset(c->tail, 0, TAIL);
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
        fail(c, "request not taken", strerror(errno), 100);
}

static void open_connection(struct connection *c) {
    int on = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        die("load: socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->state = CONNECTING;
    c->asked_us = now_us();
    active++;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event))
        die("load: epoll_ctl");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        fail(c, "connect", strerror(errno), 100);
}

static void connected(struct connection *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        fail(c, "connect", strerror(error), 100);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
    ask(c);
}

/* An answer is complete. */
static void answered(struct connection *c) {
    if (c->marks != marks_wanted) {
        char counts[64];
        snprintf(counts, sizeof counts, "%zu instead of %zu", c->marks, marks_wanted);
        fail(c, "marks", counts, sizeof counts);
        return;
    }
    if (streams_wanted && !memmem(c->tail, TAIL, "[DONE]", 6)) {
        fail(c, "no [DONE], but", c->tail, TAIL);
        return;
    }
    answers++;
    int64_t now = now_us();
    if (!again || now >= until_us) {
        end(c);
        return;
    }
    if (c->closes) {
        end(c);
        open_connection(c);
        return;
    }
    c->asked_us = now;
    ask(c);
}

/* ---- reading a body ---- */

static void mark(struct connection *c, int64_t now) {
    marks++;
    if (!c->marks++)
        sample(&firsts, now - c->asked_us);
    if (c->stamp)
        sample(&delays, now - c->stamp);
}

static void find_marks(struct connection *c, const char *at, size_t length, int64_t now) {
    for (const char *stop = at + length; at < stop; at++) {
        if (!c->matched) {
            if (!(at = memchr(at, '@', (size_t)(stop - at))))
                return;
            c->matched = 1;
            c->stamp = 0;
        } else if (c->matched == 1) {
            c->matched = *at == '@' ? 2 : 0;
        } else if (!isdigit((unsigned char)*at)) {
            c->matched = 0;
        } else {
            c->stamp = c->stamp * 10 + (*at - '0');
            if (++c->matched == 2 + DIGITS) {
                c->matched = 0;
                mark(c, now);
            }
        }
    }
}

static void keep_tail(struct connection *c, const char *bytes, size_t length) {
    size_t taken = length < TAIL ? length : TAIL;
    memmove(c->tail, c->tail + taken, TAIL - taken);
    memcpy(c->tail + TAIL - taken, bytes + length - taken, taken);
}

static void body(struct connection *c, const char *bytes, size_t length, int64_t now) {
    keep_tail(c, bytes, length);
    find_marks(c, bytes, length, now);
}

/* One character of the chunk framing: `SIZE CRLF data CRLF`, at the end `0 CRLF trailers CRLF`. */
static void framing(struct connection *c, char character) {
    if (character != '\n') {
        if (character == '\r')
            return;
        if (c->state == SIZE && isxdigit((unsigned char)character))
            c->left = c->left * 16 + (size_t)(isdigit((unsigned char)character) ? character - '0' : (character | 32) - 'a' + 10);
        c->line++;
        return;
    }
    if (c->state == SIZE)
        c->state = c->left ? DATA : TRAILER;
    else if (c->state == DATA_END)
        c->state = SIZE;
    else if (!c->line)
        c->state = IDLE;
    c->line = 0;
}

static void feed(struct connection *c, const char *bytes, size_t length, int64_t now) {
    while (length && c->state != IDLE) {
        if (c->state != DATA && c->state != LENGTH && c->state != UNTIL_CLOSE) {
            framing(c, *bytes++);
            length--;
            continue;
        }
        size_t taken = c->state == UNTIL_CLOSE || length < c->left ? length : c->left;
        body(c, bytes, taken, now);
        bytes += taken;
        length -= taken;
        if (c->state != UNTIL_CLOSE && !(c->left -= taken))
            c->state = c->state == DATA ? DATA_END : IDLE;
    }
}

/* ---- reading a head ---- */

static const char *header(const struct connection *c, const char *name) {
    const char *found = strcasestr(c->head, name);
    return found ? found + strlen(name) : NULL;
}

/* The head is complete up to `length`; what follows it is the body's. */
static void begin_body(struct connection *c, size_t length, int64_t now) {
    size_t more = c->head_length - length;
    char *rest = c->head + length;
    char saved = rest[-1];
    rest[-1] = 0; /* names are looked for in the head alone */
    const char *known = header(c, "\r\ncontent-length:"), *chunked = header(c, "\r\ntransfer-encoding: chunked");
    const char *connection = header(c, "\r\nconnection: close");
    int ok = c->head_length > 12 && !strncmp(c->head + 9, "200", 3);
    c->closes = connection != NULL;
    c->left = known ? strtoul(known, NULL, 10) : 0;
    c->line = 0;
    c->state = chunked ? SIZE : known ? (c->left ? LENGTH : IDLE) : UNTIL_CLOSE;
    rest[-1] = saved;
    if (!ok)
        fail(c, "answer", c->head, c->head_length);
    else
        feed(c, rest, more, now);
}

static void read_head(struct connection *c, const char *bytes, size_t length, int64_t now) {
    size_t room = HEAD - 1 - c->head_length, taken = length < room ? length : room;
    memcpy(c->head + c->head_length, bytes, taken);
    c->head_length += taken;
    c->head[c->head_length] = 0;
    const char *found = memmem(c->head, c->head_length, "\r\n\r\n", 4);
    if (!found) {
        if (taken == room)
            fail(c, "head too long", c->head, 300);
        return;
    }
    begin_body(c, (size_t)(found + 4 - c->head), now);
    if (c->state != CLOSED && length > taken)
        feed(c, bytes + taken, length - taken, now);
}

static void readable(struct connection *c) {
    ssize_t got = recv(c->fd, buffer, READ, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    int64_t now = now_us();
    if (got <= 0) {
        if (got == 0 && c->state == UNTIL_CLOSE) {
            c->closes = 1;
            answered(c);
        } else {
            fail(c, "closed", c->tail, strnlen(c->tail, TAIL));
        }
        return;
    }
    if (c->state == HEADER)
        read_head(c, buffer, (size_t)got, now);
    else
        feed(c, buffer, (size_t)got, now);
    if (c->state == IDLE)
        answered(c);
}

/* ---- the loop ---- */

static void poll_once(int64_t wait_us) {
    struct epoll_event events[BATCH];
    if (wait_us < 0)
        wait_us = 0;
    struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    int count = awake ? events_awake(poller, events, BATCH) : epoll_pwait2(poller, events, BATCH, &wait, NULL);
    if (count < 0 && errno != EINTR)
        die("load: epoll");
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->state == CONNECTING)
            connected(c);
        else if (c->state != CLOSED)
            readable(c);
    }
}

/* When the `number`th of `count` connections is opened, in microseconds. Steps of one length would put all streams of an
 * upstream's pace into a few phases, such as 100 in one second and 20 ms into two: each has its own place in its step. */
static int64_t opens_after_us(size_t number, size_t count, int64_t ramp_us) {
    double place = (double)number * GOLDEN;
    return (int64_t)((double)ramp_us * ((double)number + (place - (double)(size_t)place)) / (double)count);
}

/* Opens `count` connections over `ramp_us`, and runs until all have ended or `last_us` has come. */
static void run(size_t count, int64_t ramp_us, int64_t last_us) {
    struct connection *all = calloc(count, sizeof *all);
    int64_t begun = now_us();
    size_t opened = 0;
    while (opened < count || active) {
        int64_t now = now_us(), next = last_us;
        for (; opened < count && (next = begun + opens_after_us(opened, count, ramp_us)) <= now; opened++)
            open_connection(&all[opened]);
        if (opened == count)
            next = last_us;
        if (now >= last_us)
            break;
        poll_once(next - now);
    }
    for (size_t i = 0; i < count; i++)
        if (all[i].state != CLOSED)
            fail(&all[i], "not answered in time", all[i].head, all[i].head_length);
    free(all);
}

/* ---- the result ---- */

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_percentiles(const char *name, struct samples *s) {
    static const double shares[] = {0.5, 0.9, 0.99};
    printf(", \"%s\": {\"count\": %zu", name, s->count);
    if (s->count)
        qsort(s->us, s->count, sizeof *s->us, by_size);
    for (size_t i = 0; s->count && i < 3; i++)
        printf(", \"p%.0f\": %u", shares[i] * 100, s->us[(size_t)((double)s->count * shares[i])]);
    if (s->count)
        printf(", \"max\": %u", s->us[s->count - 1]);
    printf("}");
}

static void print_string(const char *text) {
    putchar('"');
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else
            putchar((unsigned char)*text < 32 || (unsigned char)*text > 126 ? ' ' : *text);
    putchar('"');
}

static void print_result(int64_t took_us) {
    printf("{\"answers\": %llu, \"marks\": %llu, \"errors\": %llu, \"seconds\": %.6f, \"first_error\": ", (unsigned long long)answers,
           (unsigned long long)marks, (unsigned long long)errors, (double)took_us / 1e6);
    print_string(first_error);
    print_percentiles("first_us", &firsts);
    print_percentiles("delay_us", &delays);
    printf("}\n");
}

static void read_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || !(request_length = fread(request, 1, sizeof request - 1, file)))
        die("load: request");
    fclose(file);
    streams_wanted = strstr(request, "\"stream\":true") != NULL;
}

int main(int argc, char **argv) {
    awake = argc > 1 && !strcmp(argv[argc - 1], "awake");
    argc -= awake;
    int closed = argc == 7 && !strcmp(argv[4], "closed");
    if (!closed && (argc != 8 || strcmp(argv[4], "streams")))
        return fprintf(stderr, "usage: load PORT REQUEST MARKS closed CONNECTIONS SECONDS [awake] | streams COUNT RAMP_S PATIENCE_S [awake]\n"), 2;
    allow_many_connections();
    port = atoi(argv[1]);
    read_request(argv[2]);
    marks_wanted = strtoul(argv[3], NULL, 10);
    poller = epoll_create1(0);
    int64_t begun = now_us();
    again = closed;
    until_us = begun + (int64_t)(atof(argv[6]) * 1e6);
    int64_t ramp_us = closed ? 0 : (int64_t)(atof(argv[6]) * 1e6);
    /* A closed loop ends with its last answers; whoever takes longer than this for one has failed. */
    int64_t last_us = closed ? until_us + 30000000 : begun + ramp_us + (int64_t)(atof(argv[7]) * 1e6);
    run(strtoul(argv[5], NULL, 10), ramp_us, last_us);
    print_result(now_us() - begun);
}
