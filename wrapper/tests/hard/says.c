/* Writes the value to the file that it is told, or to its standard output. */
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
  FILE *out = argc > 1 ? fopen(argv[1], "w") : stdout;
  const char *value = getenv("PASSWORD");
  return !out || fputs(value ? value : "(unset)", out) < 0 || fclose(out);
}
