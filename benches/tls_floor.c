/* What small files over TLS cost at least: OpenSSL, epoll, one request at a time on each connection, and a file that
 * no kill can leave half-written. Not a downloader: it trusts the server, and takes an answer to fit one buffer.
 *
 *   cc -O2 -o tls_floor benches/tls_floor.c -lssl -lcrypto
 *   tls_floor ADDRESS PORT CONNECTIONS FOLDER CACERT < PATHS      one path a line; bodies go to FOLDER/<last part>
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 64 << 10, NAME = 256 };
struct connection { int socket; SSL *tls; char name[NAME]; };
static char buffer[BUFFER];
static const char *address;
static int folder;

static void die(const char *what) { perror(what); exit(1); }

/* Sends the next request; 0 when there is none. */
static int next(struct connection *c) {
  char path[4096], request[4600];
  if (!fgets(path, sizeof path, stdin)) return 0;
  path[strcspn(path, "\n")] = 0;
  snprintf(c->name, NAME, "%s", strrchr(path, '/') + 1);
  int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, address);
  if (SSL_write(c->tls, request, length) != length) die("send");
  return 1;
}

/* The body becomes a file without a name, and then one with its name. */
static void store(const struct connection *c, const char *body, size_t length) {
  int file = openat(folder, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0644);
  if (file < 0) die("open");
  if (pwrite(file, body, length, 0) != (ssize_t)length) die("write");
  if (linkat(file, "", folder, c->name, AT_EMPTY_PATH)) die("link");
  close(file);
}

/* Receives one answer, if any of it is there; 0 if not. */
static int receive(struct connection *c) {
  size_t have = 0, need = 0;
  char *body = NULL;
  do {
    int got = SSL_read(c->tls, buffer + have, BUFFER - 1 - have);
    if (got <= 0 && have == 0) return 0;
    if (got <= 0) continue;
    buffer[have += got] = 0;
    if (!body && (body = strstr(buffer, "\r\n\r\n"))) {
      body += 4;
      need = body - buffer + atol(strcasestr(buffer, "content-length:") + 15);
    }
  } while (!body || have < need);
  store(c, body, buffer + have - body);
  return 1;
}

static struct connection *dial(SSL_CTX *context, const struct sockaddr_in *peer) {
  struct connection *c = calloc(1, sizeof *c);
  int one = 1;
  c->socket = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(c->socket, (const void *)peer, sizeof *peer)) die("connect");
  setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->tls = SSL_new(context);
  SSL_set_fd(c->tls, c->socket);
  if (SSL_connect(c->tls) != 1) die("handshake");
  return c;
}

int main(int count, char **arguments) {
  if (count < 6) return 2;
  address = arguments[1];
  folder = open(arguments[4], O_DIRECTORY | O_RDONLY);
  if (folder < 0) die(arguments[4]);
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (!SSL_CTX_load_verify_locations(context, arguments[5], NULL)) die(arguments[5]);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, 32 << 10);
  struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(atoi(arguments[2])) };
  inet_pton(AF_INET, address, &peer.sin_addr);

  int poll = epoll_create1(0), open_ones = 0;
  for (int wanted = atoi(arguments[3]); open_ones < wanted; open_ones++) {
    struct connection *c = dial(context, &peer);
    if (!next(c)) break;
    fcntl(c->socket, F_SETFL, O_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = c };
    epoll_ctl(poll, EPOLL_CTL_ADD, c->socket, &event);
  }
  while (open_ones > 0) {
    struct epoll_event events[256];
    int ready = epoll_wait(poll, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (receive(c) && !next(c)) {
        close(c->socket);
        open_ones--;
      }
    }
  }
  return 0;
}
