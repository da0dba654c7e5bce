/* Overwrites its arguments and its environment, as far as they lie side by side, and then asks for the value. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern char **environ;
int main(int argc, char **argv) {
  char *end = argv[0];
  for (int i = 0; i < argc; i++) if (argv[i] == end) end += strlen(end) + 1;
  for (char **entry = environ; *entry; entry++) {
    if (*entry != end) continue;
    end += strlen(end) + 1;
    *entry = strdup(*entry);
  }
  memset(argv[0], 0, (size_t)(end - argv[0]));
  strcpy(argv[0], "a new title");
  char line[64] = {0};
  FILE *own = fopen("/proc/self/cmdline", "r");
  if (!own || !fgets(line, sizeof line, own)) return 1;
  printf("%s: %s\n", line, getenv("PASSWORD"));
  return 0;
}
