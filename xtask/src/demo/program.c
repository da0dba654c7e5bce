/* An ordinary program. It knows nothing of CloudTaser: it reads its environment, and waits. */
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    const char *user = getenv("DB_USER"), *password = getenv("DB_PASSWORD");
    unsigned sum = 5381, length = 0;
    if (user == NULL || password == NULL) {
        return 3;
    }
    for (const char *at = password; *at != 0; at++, length++) {
        sum = sum * 33 + (unsigned char)*at;
    }
    printf("user %s, password of %u bytes, checksum %08x\n", user, length, sum);
    fflush(stdout);
    while (getchar() != EOF) {
    }
    return 0;
}
