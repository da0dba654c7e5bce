#include <stdio.h>
#include <stdlib.h>
int main(void) {
  char line[16];
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    const char *value = getenv("PASSWORD");
    unsigned sum = 0;
    for (unsigned i = 0; value && value[i]; i++) sum = (sum + (i + 1) * (unsigned char)value[i]) % 65521;
    printf("%u\n", sum);
    fflush(stdout);
  }
  return 0;
}
