/* Preloaded into a process, this writes one line for each address that it connects to, and for each name that it looks up.
   The variable CONNECTIONS names the file. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char *line, int length) {
    const char *path = getenv("CONNECTIONS");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    if (file < 0 || write(file, line, length) != length) abort();
    close(file);
}

int connect(int socket, const struct sockaddr *address, socklen_t length) {
    char host[INET6_ADDRSTRLEN] = "", line[128];
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        note(line, snprintf(line, sizeof line, "%s:%d\n", inet_ntop(AF_INET, &in->sin_addr, host, sizeof host), ntohs(in->sin_port)));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)address;
        note(line, snprintf(line, sizeof line, "[%s]:%d\n", inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host), ntohs(in->sin6_port)));
    } else {
        note(line, snprintf(line, sizeof line, "family %d\n", address->sa_family));
    }
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    return real(socket, address, length);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    char line[300];
    note(line, snprintf(line, sizeof line, "name %.250s\n", node ? node : ""));
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, found);
}
