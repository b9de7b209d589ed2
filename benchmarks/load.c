/* A load generator: one thread, some connections, ready-made requests, one at a time on each connection.

   load PORT CONNECTIONS SECONDS RATE FIRST LIMIT FILE

   FILE holds requests, each behind its length in four bytes. They are sent in turn, from the FIRST on and round again,
   until SECONDS have passed or LIMIT of them are sent (0 = as many as there is time for). With a RATE, in requests a
   second, each is timed from when it was due, also where no connection was free then; with 0 the next one leaves as soon
   as one is answered. Any answer but a 200 ends the run. Printed are the number of answers, the seconds that they took,
   the seconds of the processor that this program took of them, and the median and 99th percentile of the answers' times
   in milliseconds. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 1024, BUFFER = 1 << 16 };

typedef struct { char *bytes; uint32_t length; } Request;
typedef struct { char answer[BUFFER]; size_t got; double since; int is_waiting; } Connection;

static Request *requests;
static size_t request_count, next_request;
static struct pollfd sockets[MOST_CONNECTIONS];
static Connection connections[MOST_CONNECTIONS];
static double *times;
static size_t sent, answered, most_times;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    uint32_t length;
    size_t room = 0;
    while (fread(&length, sizeof length, 1, file) == 1) {
        if (request_count == room) requests = realloc(requests, (room = room ? 2 * room : 1024) * sizeof *requests);
        Request request = {malloc(length), length};
        if (fread(request.bytes, 1, length, file) != length) fail(path);
        requests[request_count++] = request;
    }
    fclose(file);
}

static int connected(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address)) fail("connect");
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return descriptor;
}

static void ask(int index, double since) {
    Request request = requests[next_request];
    next_request = (next_request + 1) % request_count;
    connections[index].got = 0;
    connections[index].since = since;
    connections[index].is_waiting = 1;
    sent++;
    for (size_t done = 0; done < request.length;) {
        ssize_t written = write(sockets[index].fd, request.bytes + done, request.length - done);
        if (written <= 0) fail("write");
        done += written;
    }
}

/* Whether the whole answer is there, whose length its head says. */
static int is_whole(const Connection *connection) {
    const char *end = strstr(connection->answer, "\r\n\r\n"), *length;
    if (!end) return 0;
    length = strcasestr(connection->answer, "\r\ncontent-length:");
    return connection->got >= (size_t)(end + 4 - connection->answer) + (length ? strtoul(length + 17, 0, 10) : 0);
}

static void hear(int index) {
    Connection *connection = &connections[index];
    ssize_t got = read(sockets[index].fd, connection->answer + connection->got, BUFFER - 1 - connection->got);
    if (got <= 0) fail("read");
    connection->got += got;
    connection->answer[connection->got] = 0;
    if (!is_whole(connection)) return;
    if (strncmp(connection->answer + 9, "200", 3)) {
        fprintf(stderr, "%.1000s\n", connection->answer);
        exit(1);
    }
    if (answered == most_times) times = realloc(times, (most_times = most_times ? 2 * most_times : 4096) * sizeof *times);
    times[answered++] = now() - connection->since;
    connection->is_waiting = 0;
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(int count, char **arguments) {
    if (count != 8) return fputs("load PORT CONNECTIONS SECONDS RATE FIRST LIMIT FILE\n", stderr), 2;
    int port = atoi(arguments[1]), width = atoi(arguments[2]);
    double seconds = atof(arguments[3]), rate = atof(arguments[4]);
    size_t limit = strtoul(arguments[6], 0, 10);
    if (width < 1 || width > MOST_CONNECTIONS) return fputs("too many connections\n", stderr), 2;
    read_requests(arguments[7]);
    if (!request_count) return fputs("no requests\n", stderr), 2;
    next_request = strtoul(arguments[5], 0, 10) % request_count;
    for (int i = 0; i < width; i++) sockets[i] = (struct pollfd){connected(port), POLLIN, 0};

    double begun = now(), moment = begun, used = clock();
    for (;;) {
        int may_ask = moment - begun < seconds && (!limit || sent < limit);
        if (!may_ask && sent == answered) break;
        for (int i = 0; i < width && may_ask; i++) {
            double due = rate ? begun + sent / rate : moment;
            if (connections[i].is_waiting) continue;
            if (due > moment || (limit && sent == limit)) break;
            ask(i, due);
        }
        /* A rate is kept by looking all the time: sleeping would be too coarse. */
        poll(sockets, width, rate && may_ask ? 0 : 1000);
        for (int i = 0; i < width; i++) if (sockets[i].revents) hear(i);
        moment = now();
    }
    if (!answered) return fputs("nothing was answered\n", stderr), 1;
    used = (clock() - used) / CLOCKS_PER_SEC;
    qsort(times, answered, sizeof *times, ascending);
    double median = times[answered / 2], slow = times[answered * 99 / 100];
    printf("%zu %.6f %.6f %.4f %.4f\n", answered, moment - begun, used, 1e3 * median, 1e3 * slow);
}
