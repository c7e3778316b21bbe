/* ask METHOD PATH [HEADER]: one HTTP request to http://169.254.169.254 ($IMDS_ADDRESS where set); prints the body of a 200, else the first
 * line of the answer on stderr. (busybox's wget can't PUT, and Debian's static one looks names up through libraries that an image
 * FROM scratch has not.)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int main(int count, char **words) {
    static char text[65536];
    const char *host = getenv("IMDS_ADDRESS") ? getenv("IMDS_ADDRESS") : "169.254.169.254";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    struct timeval patience = {.tv_sec = 2};
    if (count < 3 || inet_pton(AF_INET, host, &address.sin_addr) != 1) return 64;
    int line = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(line, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(line, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(line, (struct sockaddr *)&address, sizeof address) != 0) {
        fprintf(stderr, "%s: %s\n", host, strerror(errno));
        return 1;
    }
    int size = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s\r\n", words[1], words[2], host,
                        count > 3 ? words[3] : "", count > 3 ? "\r\n" : "");
    if (size >= (int)sizeof text || write(line, text, size) != size) return 1;
    size_t length = 0;
    ssize_t more;
    while ((more = read(line, text + length, sizeof text - 1 - length)) > 0) length += more;
    text[length] = 0;
    char *body = strstr(text, "\r\n\r\n");
    if (!body || !strstr(text, " 200 ") || strstr(text, " 200 ") > strchr(text, '\r')) {
        fprintf(stderr, "%s: %.*s\n", host, (int)strcspn(text, "\r\n"), text);
        return 1;
    }
    fputs(body + 4, stdout);
    return 0;
}
